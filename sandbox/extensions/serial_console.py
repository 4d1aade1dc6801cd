"""EC2's serial console as a setting of an account and region.

Seam: methods on `EC2Response`, which moto finds by the action's name. moto has none of the three actions;
drop this when it has them.
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.responses import EC2Response

from sandbox.parts import Parts, store


def install(parts: Parts) -> None:
    """Give EC2 the three actions."""
    EC2Response.enable_serial_console_access = enable_serial_console_access
    EC2Response.disable_serial_console_access = disable_serial_console_access
    EC2Response.get_serial_console_access_status = get_serial_console_access_status


def enable_serial_console_access(request: Any) -> ActionResult:
    """EnableSerialConsoleAccess."""
    return _set(request, enabled=True)


def disable_serial_console_access(request: Any) -> ActionResult:
    """DisableSerialConsoleAccess."""
    return _set(request, enabled=False)


def get_serial_console_access_status(request: Any) -> ActionResult:
    """GetSerialConsoleAccessStatus; it is off in a new account."""
    kept = store(request.ec2_backend, "serial_console")
    return ActionResult({"SerialConsoleAccessEnabled": kept.get("enabled", False)})


def _set(request: Any, *, enabled: bool) -> ActionResult:
    request.error_on_dryrun()
    store(request.ec2_backend, "serial_console")["enabled"] = enabled
    return ActionResult({"SerialConsoleAccessEnabled": enabled})
