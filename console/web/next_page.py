"""Where to go after a form: a path of ours, whatever was asked for."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

HOME = "/"
_LONGEST = 500


def safe_path(asked: str) -> str:
    """Return the path (with its query) where it is one of this console's, else the home page.

    A browser takes `//host`, `/\\host` and what has control characters in it for another host's.
    """
    parts = urlsplit(asked) if len(asked) <= _LONGEST and asked.isprintable() and "\\" not in asked else None
    if parts is None or parts.scheme or parts.netloc or not asked.startswith("/") or asked.startswith("//"):
        return HOME
    return asked


def sign_in_path(then: str) -> str:
    """Return the path of the sign-in that leads on to that path."""
    return _leading_on("/login", then)


def prove_path(then: str) -> str:
    """Return the path on which somebody who is signed in proves it anew, and that leads on to that path."""
    return _leading_on("/prove", then)


def company_path(then: str) -> str:
    """Return the path of the sign-in with the company's account, or a proof by it, that leads on there."""
    return _leading_on("/login/oidc", then)


def _leading_on(path: str, then: str) -> str:
    goal = safe_path(then)
    return path if goal == HOME else f"{path}?next={quote(goal, safe='/')}"
