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
    path = safe_path(then)
    return "/login" if path == HOME else f"/login?next={quote(path, safe='/')}"
