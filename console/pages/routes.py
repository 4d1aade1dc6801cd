"""Every page's routes, a line a page in the order of the alphabet."""

from __future__ import annotations

from console.pages import (
    act,
    compare,
    down,
    health,
    home,
    join,
    login,
    me,
    oidc,
    people,
    preferences,
    prove,
    receipts,
    run,
    run_events,
    runs,
    take,
    try_it,
    welcome,
)
from console.web import assets

ROUTERS = (
    act.router,
    assets.router,
    compare.router,
    down.router,
    health.router,
    home.router,
    join.router,
    login.router,
    me.router,
    oidc.router,
    people.router,
    preferences.router,
    prove.router,
    receipts.router,
    run.router,
    run_events.router,
    runs.router,
    take.router,
    try_it.router,
    welcome.router,
)
