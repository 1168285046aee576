"""The Model Context Protocol over HTTP: the address /mcp, and who may speak to it.

What is said there is the business of mcp_tools.py, which brings the official SDK along: half a second and some 26 MB that
only those pay who use it, at the first request. Each request is complete in itself; there is no session, so nothing is kept
between two requests and nothing needs an end when the server stops.
"""

import ipaddress
from importlib import import_module
from types import ModuleType
from urllib.parse import urlsplit

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from web.addresses import is_host
from web.problem import Problem

PATH = "/mcp"
FOREIGN = "Requests from pages of this origin are not allowed; the operator can allow it."
router = APIRouter()


class _Exchange(Response):
    """One request handed to the SDK, which reads it and sends its own response."""

    def __init__(self, tools: ModuleType, request: Request) -> None:
        super().__init__()
        self._tools, self._request = tools, request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        await self._tools.answer_http(self._request, scope, receive, send)


async def mcp(request: Request) -> Response:
    """Take one message of the protocol; raise Problem 403 for a page of an origin that is not allowed."""
    if not is_allowed(request):
        raise Problem(403, "Forbidden", FOREIGN)
    return _Exchange(await run_sync(import_module, "web.mcp_tools"), request)


# Without sessions there is no stream to open with GET and nothing to end with DELETE: both get 405, as the protocol provides.
for path in (PATH, f"{PATH}/"):
    router.add_route(path, mcp, methods=["POST"], include_in_schema=False)


def is_allowed(request: Request) -> bool:
    """Say whether the request comes from no page, a page of an allowed origin, or one of this very server.

    A page elsewhere whose name was made to lead here (DNS rebinding) has the same origin as the host it names. So a host
    counts as this server's own only where its name cannot be made to lead here: an IP address, localhost, the public address.
    """
    origin = request.headers.get("origin")
    if origin is None or origin in getattr(request.app.state, "allow_origins", ()):
        return True
    host = request.headers.get("host", "")
    public = urlsplit(getattr(request.app.state, "public_url", "")).netloc
    own = is_host(host) and origin in (f"http://{host}", f"https://{host}")
    return own and (host == public or _cannot_be_rebound(host))


def _cannot_be_rebound(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost"
    return True
