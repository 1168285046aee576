"""What stands between the network and the routes: body limit, security headers, and the one error shape (RFC 9457).

Nothing here answers a question; no question text is ever put in a log line or an error.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 16 * 1024
# Chat protocols send the whole conversation every time.
CHAT_BODY_BYTES = 1024 * 1024
BODY_LIMITS = dict.fromkeys(("/v1/chat/completions", "/chat/completions", "/v1/deep-chat", "/mcp"), CHAT_BODY_BYTES)
PROBLEM_TYPE = "application/problem+json"

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}
# Swagger UI writes style elements of its own as it draws the API reference.
REFERENCE_PATH = "/docs"
REFERENCE_POLICY = SECURITY_HEADERS["Content-Security-Policy"].replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")


def _encoded(headers: Mapping[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.lower().encode(), value.encode()) for name, value in headers.items())


# As they go over the wire, made once.
_HEADERS = _encoded(SECURITY_HEADERS)
_REFERENCE_HEADERS = _encoded({**SECURITY_HEADERS, "Content-Security-Policy": REFERENCE_POLICY})


class Problem(Exception):
    """An error to send as problem details: an HTTP status, a short title, and what to do."""

    def __init__(self, status: int, title: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})


def problem_response(problem: Problem) -> Response:
    """Return the problem as an ``application/problem+json`` response."""
    body = {"type": "about:blank", "title": problem.title, "status": problem.status, "detail": problem.detail}
    return Response(orjson.dumps(body), problem.status, headers=problem.headers, media_type=PROBLEM_TYPE)


def install_errors(app: FastAPI) -> None:
    """Give every error of the application the one shape."""

    @app.exception_handler(Problem)
    async def on_problem(_: Request, error: Problem) -> Response:
        return problem_response(error)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_: Request, error: RequestValidationError) -> Response:
        return problem_response(Problem(422, "Invalid request", describe_validation(error)))

    @app.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> Response:
        title = HTTPStatus(error.status_code).phrase
        return problem_response(Problem(error.status_code, title, str(error.detail), headers=error.headers))


def describe_validation(error: RequestValidationError) -> str:
    """Say which fields were refused and why, without repeating what was sent."""
    parts = []
    for item in error.errors()[:5]:
        where = ".".join(str(part) for part in item["loc"] if part != "body") or "body"
        parts.append(f"{where}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts)


class Guard:
    """ASGI middleware: refuses bodies over the limit while they stream in, and sets the security headers on everything."""

    def __init__(self, app: ASGIApp, max_body: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = BODY_LIMITS.get(scope["path"], self._max_body)
        await _Exchange(scope, receive, send, limit).run(self._app)


class _TooLarge(Exception):
    pass


class _Exchange:
    """One request and its response, watched."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, max_body: int) -> None:
        self._scope, self._receive, self._send, self._max_body = scope, receive, send, max_body
        self._received = 0
        self._started = False
        self._refused = False

    async def run(self, app: ASGIApp) -> None:
        try:
            self._check_declared_length()
            await app(self._scope, self.receive, self.send)
        except _TooLarge:
            pass
        except Exception:
            if self._started:
                raise
            logging.getLogger(__name__).exception("a request failed")
            response = problem_response(Problem(500, "Internal error", "The server failed; its log says how."))
            await response(self._scope, self._receive, self.send)
        if self._refused and not self._started:
            detail = f"The request body is limited to {self._max_body:,} bytes."
            response = problem_response(Problem(413, "Body too large", detail, headers={"Connection": "close"}))
            self._refused = False
            await response(self._scope, self._receive, self.send)

    def _check_declared_length(self) -> None:
        for name, value in self._scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._max_body:
                self._refuse()

    def _refuse(self) -> None:
        self._refused = True
        raise _TooLarge

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self._max_body:
                self._refuse()
        return message

    async def send(self, message: Message) -> None:
        if self._refused and not self._started:
            return  # a framework may answer the refusal with an error of its own; the 413 is sent in its place
        if message["type"] == "http.response.start":
            self._started = True
            message = {**message, "headers": [*message.get("headers", []), *self._extra_headers(message)]}
        await self._send(message)

    def _extra_headers(self, message: Message) -> list[tuple[bytes, bytes]]:
        present = {name.lower() for name, _ in message.get("headers", [])}
        headers = _REFERENCE_HEADERS if self._scope["path"] == REFERENCE_PATH else _HEADERS
        return [header for header in headers if header[0] not in present]
