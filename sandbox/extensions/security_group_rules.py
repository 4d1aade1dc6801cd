"""Security group rules that keep their description whatever they point at, and can be changed.

Seam: `SecurityGroupRule.__init__` and `EC2Backend.modify_security_group_rules`. moto keeps the
description of rules with an address range alone, and refuses to modify a rule for all protocols, which
has no ports. Drop this when it does both.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

from moto.ec2.models import EC2Backend
from moto.ec2.models.security_groups import SecurityGroupRule

from sandbox.parts import Parts


def install(parts: Parts) -> None:
    """Wrap both."""
    make, modify = SecurityGroupRule.__init__, EC2Backend.modify_security_group_rules
    signature = inspect.signature(make)

    @functools.wraps(make)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        make(self, *args, **kwargs)
        given = signature.bind(self, *args, **kwargs).arguments
        for target in (given.get("source_group"), given.get("prefix_list_id")):
            if target and target.get("Description"):
                self.ip_range["Description"] = target["Description"]  # where moto's answers read it

    @functools.wraps(modify)
    def modify_security_group_rules(self: Any, group_id: str, rules: dict[str, dict[str, Any]]) -> None:
        for rule in rules.values():
            if str(rule.get("IpProtocol")) == "-1":
                rule.setdefault("FromPort", -1)
                rule.setdefault("ToPort", -1)
        modify(self, group_id, rules)

    SecurityGroupRule.__init__ = __init__
    EC2Backend.modify_security_group_rules = modify_security_group_rules
