"""Serving the widget: the module under a name that always is the latest, the same under its version, and how to embed it.

    python -m web.widget --npm DIR

writes the npm package into DIR. Any site may load the module; nothing else is given to other origins here.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from web.problem import Problem
from web.widget_package import write_package
from web.widget_source import STYLE, Module, joined

# Five minutes without asking again: a new release reaches every site soon, and a visitor's next page costs nothing.
LATEST_CACHE = "public, max-age=300, must-revalidate"
VERSION_CACHE = "public, max-age=31536000, immutable"
ANY_ORIGIN = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}

router = APIRouter(tags=["widget"])


class WidgetRecord(BaseModel):
    """How to embed the widget that this server serves."""

    version: str = Field(description="The package's version and a digest of the module.")
    url: str = Field(description="Absolute address of the versioned module; its content never changes.")
    path: str = Field(description="The same address without scheme and host.")
    integrity: str = Field(description="Subresource integrity value of the module.")
    bytes: int = Field(description="Size of the module.")
    gzip_bytes: int = Field(description="Size of the module over the wire, packed.")
    snippet: str = Field(description="The one line of HTML that embeds the widget.")
    feedback: bool = Field(description="Whether POST /v1/feedback takes feedback.")


@router.api_route("/widget.js", methods=["GET", "HEAD"], include_in_schema=False)
async def latest(request: Request) -> Response:
    """The widget's module, as it is now."""
    return _module(request, joined(), LATEST_CACHE)


@router.api_route("/widget/{version}/widget.js", methods=["GET", "HEAD"], include_in_schema=False)
async def versioned(request: Request, version: str) -> Response:
    """The widget's module of one version, or 404 for another version than this server has."""
    module = joined()
    if version != module.version:
        detail = "This server has another version of the widget; GET /v1/widget names it."
        raise Problem(404, "Not found", detail, headers=ANY_ORIGIN)
    return _module(request, module, VERSION_CACHE)


@router.get("/widget/widget.css", include_in_schema=False)
async def style() -> Response:
    """The style sheet, for browsers in which scripts cannot make one."""
    headers = {**ANY_ORIGIN, "Cache-Control": LATEST_CACHE}
    return Response(STYLE.read_bytes(), headers=headers, media_type="text/css")


@router.get("/v1/widget")
async def widget(request: Request) -> WidgetRecord:
    """Say how to embed the widget: its address, its integrity value, and the line of HTML to paste."""
    module, state = joined(), request.app.state
    base = (getattr(state, "public_url", None) or str(request.base_url)).rstrip("/")
    return WidgetRecord(
        version=module.version,
        url=base + module.path,
        path=module.path,
        integrity=module.integrity,
        bytes=len(module.content),
        gzip_bytes=len(module.packed),
        snippet=snippet(module, base),
        feedback=bool(getattr(state, "feedback", None)),
    )


def snippet(module: Module, base: str) -> str:
    """Return the one line of HTML that embeds the widget."""
    return (
        f'<script type="module" src="{base}{module.path}" integrity="{module.integrity}" crossorigin="anonymous"'
        f' referrerpolicy="no-referrer"></script>'
        f'<citewell-chat api-base="{base}"></citewell-chat>'
    )


def _module(request: Request, module: Module, cache: str) -> Response:
    tag = f'"{module.version}"'
    headers = {**ANY_ORIGIN, "Cache-Control": cache, "ETag": tag, "Vary": "Accept-Encoding"}
    if tag in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    packed = "gzip" in request.headers.get("Accept-Encoding", "")
    if packed:
        headers["Content-Encoding"] = "gzip"
    return Response(module.packed if packed else module.content, headers=headers, media_type="text/javascript")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the npm package and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m web.widget", description="Write the widget as an npm package.")
    parser.add_argument("--npm", metavar="DIR", type=Path, required=True, help="folder to write the package into")
    folder: Path = parser.parse_args(arguments).npm
    for name in write_package(folder, joined()):
        print(folder / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
