"""The interactive API reference at /docs: Swagger UI from the package fastapi-offline, nothing loaded from elsewhere."""

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

ASSETS = "/docs/assets"
# One script of ours starts Swagger UI, so that the page needs no inline script.
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>citewell API reference</title>
<link rel="icon" href="/static/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{ASSETS}/swagger-ui.css">
<script src="{ASSETS}/swagger-ui-bundle.js" defer></script>
<script src="/static/reference.js" defer></script>
</head>
<body>
<div id="swagger-ui" data-openapi="/openapi.json"></div>
<noscript><p>This page needs JavaScript. The API is described in <a href="/openapi.json">openapi.json</a>.</p></noscript>
</body>
</html>
"""

router = APIRouter(include_in_schema=False)


@router.get("/docs", response_class=HTMLResponse)
def reference() -> HTMLResponse:
    """The interactive API reference."""
    return HTMLResponse(_PAGE)


def reference_files() -> StaticFiles:
    """Return the application to mount at ASSETS."""
    return StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static")
