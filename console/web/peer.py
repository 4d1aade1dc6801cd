"""Where a request comes from: the address of whoever sent it, also where a proxy of ours hands it on.

Each proxy adds to `X-Forwarded-For`, at its end, the address that it was sent the request from. What comes
before that the sender may have made up. So the header is read from its end, for as long as those named are
proxies that we trust, and of a request that does not come from one of them it is not read at all.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
HEADER = "x-forwarded-for"
_MOST_HOPS = 32
"""So many of the last addresses of a header are looked at; nobody has more proxies."""


class Peer:
    """Puts the sender's address in the place of a trusted proxy's."""

    def __init__(self, app: ASGIApp, *, proxies: Sequence[Network]) -> None:
        """Wrap an app that these proxies stand before."""
        self.app, self._proxies = app, tuple(proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] in ("http", "websocket") and scope.get("client"):
            host, port = scope["client"]
            named = Headers(scope=scope).getlist(HEADER) if self._proxies else []
            sender = sender_of(host, named, self._proxies)
            scope = {**scope, "client": (sender, port if sender == host else 0)}
        await self.app(scope, receive, send)


def sender_of(host: str, named: Sequence[str], proxies: Iterable[Network]) -> str:
    """Return the address that a request comes from.

    `host` is who has connected, `named` the header's values in their order. What is no address ends the walk:
    the last one that is known counts then.
    """
    trusted = tuple(proxies)
    address = _address(host)
    if address is None:
        return host
    hops = [hop for value in named for hop in value.split(",")][-_MOST_HOPS:]
    for hop in reversed(hops):
        if not any(address in network for network in trusted):
            break
        found = _address(hop)
        if found is None:
            break
        address = found
    return str(address)


def _address(text: str) -> Address | None:
    """Return the address that a text is, with or without a port; IPv4 as such, however it is written."""
    written = text.strip()[:64]
    if written.startswith("["):
        written = written[1:].partition("]")[0]
    elif written.count(":") == 1:
        written = written.partition(":")[0]
    try:
        address = ipaddress.ip_address(written.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
