"""Every page's routes, a line a page in the order of the alphabet."""

from __future__ import annotations

from console.pages import health, home, login, preferences, welcome
from console.web import assets

ROUTERS = (
    assets.router,
    health.router,
    home.router,
    login.router,
    preferences.router,
    welcome.router,
)
