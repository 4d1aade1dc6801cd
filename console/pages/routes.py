"""Every page's routes, a line a page in the order of the alphabet."""

from __future__ import annotations

from console.pages import (
    act,
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
    welcome,
)
from console.web import assets

ROUTERS = (
    act.router,
    assets.router,
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
    welcome.router,
)
