"""What keeps other pages of the browser, and names that lead here, from reading what the user may read."""

from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler

ADDRESS = "127.0.0.1"
_NAMES = frozenset({ADDRESS, "localhost"})

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:; frame-ancestors 'none'"
)
"""A report is a file with scripts of its own: they run in an origin of their own, and reach nothing."""

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def is_own_host(host: str) -> bool:
    """Whether a request's Host names this machine; with any port, since one may come through a tunnel."""
    name, _, port = host.partition(":")
    return name.lower() in _NAMES and (not port or (port.isascii() and port.isdigit()))


def is_own_request(headers: Mapping[str, str]) -> bool:
    """Whether a request is the user's own, a link's, or of a page from here. Only browsers say what it is of."""
    if headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin"):
        return True
    return headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"


@web.middleware
async def refuse_foreign(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests under a foreign name, as those of a page whose name was made to lead here."""
    if not is_own_host(request.host):
        raise web.HTTPForbidden(text="This page answers under localhost and 127.0.0.1 alone.\n")
    if not is_own_request(request.headers):
        raise web.HTTPForbidden(text="This page answers to itself and to links alone.\n")
    return await handler(request)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Tell the browser to be strict."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
