"""What holds a role: policies that somebody gave it beside its own, and instance profiles that hand it on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from fleet.holders.holder import Holder, Teardown
from fleet.listings.things import ask
from fleet.terraform_state import StateResource


def on_role(teardown: Teardown, resource: StateResource) -> Iterator[Holder]:
    """Yield the policies of a role that goes, and the profiles that it is in.

    IAM deletes no role that has any; those that Terraform gave it, it has taken away by then.
    """
    iam, on = teardown.client("iam"), f"{resource.address} ({resource.id})"
    for each in (ask(iam.list_attached_role_policies, RoleName=resource.id) or {}).get(
        "AttachedPolicies", ()
    ):
        arn = str(each["PolicyArn"])
        clear = partial(iam.detach_role_policy, RoleName=resource.id, PolicyArn=arn)
        why = "somebody attached it to the role"
        yield Holder(kind="IAM policy", id=arn, on=on, why=why, fate="clear", clear=clear)
    for name in (ask(iam.list_role_policies, RoleName=resource.id) or {}).get("PolicyNames", ()):
        clear = partial(iam.delete_role_policy, RoleName=resource.id, PolicyName=name)
        why = "somebody put it into the role"
        yield Holder(kind="policy of the role", id=name, on=on, why=why, fate="clear", clear=clear)
    answer = ask(iam.list_instance_profiles_for_role, RoleName=resource.id) or {}
    for each in answer.get("InstanceProfiles", ()):
        name = str(each["InstanceProfileName"])
        about = partial(Holder, kind="IAM instance profile", id=name, on=on)
        tagged = (ask(iam.get_instance_profile, InstanceProfileName=name) or {}).get("InstanceProfile", {})
        if teardown.is_ours(tagged) or name in teardown.managed:
            clear = partial(
                iam.remove_role_from_instance_profile, InstanceProfileName=name, RoleName=resource.id
            )
            yield about(why="it still hands the role on", fate="clear", clear=clear)
        else:
            yield about(why="another's profile hands the role on: take it out, then repeat", fate="stop")
