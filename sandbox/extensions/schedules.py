"""EventBridge schedules that fire, and that are refused where the cloud would refuse them.

Seam: methods on `EventBridgeSchedulerResponse`; `sandbox/schedules.py` calls the targets. moto keeps
schedules and never looks at them; drop this when it does. Only Lambda functions are called. `POST
/_sandbox/clock` puts the clock forward, and calls what becomes due.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

from moto.scheduler.exceptions import ValidationException
from moto.scheduler.responses import EventBridgeSchedulerResponse

from sandbox.clock import Clock
from sandbox.expressions import is_one_time, one_time, parse_expression
from sandbox.parts import Parts
from sandbox.schedules import Scheduler, clock_page, fired_page


def install(parts: Parts) -> None:
    """Check what is created and changed, and start the engine."""
    for name in ("create_schedule", "update_schedule"):
        known = getattr(EventBridgeSchedulerResponse, name)
        setattr(EventBridgeSchedulerResponse, name, _checked(known, parts.clock))
    scheduler = Scheduler(parts, parts.functions)
    parts.pages["GET", "clock"] = lambda _: parts.clock.describe()
    parts.pages["POST", "clock"] = clock_page(scheduler)
    parts.pages["GET", "fired"] = fired_page(scheduler)
    scheduler.start()


def _checked(known: Callable[[Any], str], clock: Clock) -> Callable[[Any], str]:
    @functools.wraps(known)
    def checked(request: Any) -> str:
        expression = request._get_param("ScheduleExpression")
        zone = request._get_param("ScheduleExpressionTimezone") or "UTC"
        try:
            parse_expression(expression, zone, datetime.now(UTC))
        except ZoneInfoNotFoundError as error:
            raise ValidationException(f"Invalid Schedule Expression Timezone {zone}") from error
        except ValueError as error:
            raise ValidationException(f"Invalid Schedule Expression {expression}") from error
        if is_one_time(expression) and one_time(expression, zone) <= clock.now():
            raise ValidationException(f"The one-time schedule {expression} is in the past")
        return known(request)

    return checked
