"""What stands between the network and the routes, in this order: preflight, API key, rate, body limit, headers, error shape.

Every response goes out here, errors too, and is counted and, where the operator wants it, logged: by route template, never by
what was sent. Nothing here answers a question; no question text is ever put in a log line or an error.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.engine import Engine
from web.headers import is_widget, security_headers
from web.keys import require_key
from web.logs import REQUESTS
from web.metrics import METRICS_PATH, SCOPE_KEY, Metrics
from web.origins import OPEN, PREFLIGHT, Headers, Origins
from web.problem import Problem, problem_response
from web.rate import RateLimit, is_counted

MAX_BODY_BYTES = 16 * 1024
# Chat protocols send the whole conversation with every question.
MAX_HISTORY_BYTES = 1024 * 1024
HISTORY_PATHS = frozenset({"/v1/chat/completions", "/chat/completions", "/v1/deep-chat", "/mcp", "/mcp/"})
# What answers without a key: the checks of whoever keeps the server running.
HEALTH = frozenset({"/live", "/ready"})
NOT_ALLOWED = "Pages of this origin may not ask here; CITEWELL_ALLOW_ORIGINS names those that may."
TOO_OFTEN = "Too many requests from this address. Wait as many seconds as Retry-After says."

_requests = logging.getLogger(REQUESTS)


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """Whom the guard lets in: other sites' origins, digests of API keys, and requests a minute (0: any number)."""

    origins: frozenset[str] = frozenset()
    keys: tuple[bytes, ...] = ()
    rate: float = 0.0


UNGUARDED = GuardSettings()


def body_limit(path: str) -> int:
    """Return how many bytes a request body for this path may have."""
    return MAX_HISTORY_BYTES if path in HISTORY_PATHS else MAX_BODY_BYTES


class Guard:
    """ASGI middleware: one gate for every request, one door for every response."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, settings: GuardSettings, limit: RateLimit | None = None) -> None:
        self._app = app
        self._metrics = metrics
        self._origins = Origins(settings.origins)
        self._keys = settings.keys
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        allowance = self._allowance(scope["path"], origins)
        exchange = _Exchange(scope, receive, send, allowance)
        scope[SCOPE_KEY] = self._metrics
        try:
            if origins and scope["method"] == "OPTIONS" and _is_preflight(scope):
                await exchange.answer_preflight(allowed=is_widget(scope["path"]) or self._origins.allows(origins))
            else:
                await exchange.run(self._app, self._admit)
        finally:
            self._note(scope, exchange, time.perf_counter() - begun)

    def _allowance(self, path: str, origins: list[bytes]) -> Headers:
        """Return what a page of another origin is told; of the operator's own figures no page is told anything."""
        if is_widget(path):
            return OPEN
        return () if path == METRICS_PATH else self._origins.headers(origins)

    def _admit(self, scope: Scope) -> None:
        """Raise Problem 401 or 429 for a request that may not come in."""
        path = scope["path"]
        if self._keys and path not in HEALTH:
            try:
                require_key(scope["headers"], self._keys)
            except Problem:
                self._metrics.event("unauthorized")
                raise
        if self._limit is not None and is_counted(scope["method"], path):
            address = scope["client"][0] if scope.get("client") else ""
            if seconds := self._limit.wait(address, time.monotonic()):
                self._metrics.event("rate_limited")
                raise Problem(429, "Too many requests", TOO_OFTEN, headers={"Retry-After": str(seconds)})

    def _note(self, scope: Scope, exchange: "_Exchange", seconds: float) -> None:
        template = self._metrics.template(scope)
        self._metrics.request(template, scope["method"], exchange.status, seconds)
        if _requests.isEnabledFor(logging.INFO):
            line = {
                "message": "request",
                "method": self._metrics.method(scope["method"]),
                "route": template,
                "status": exchange.status,
                "ms": round(seconds * 1000, 2),
                "request_id": exchange.request_id.decode(),
            }
            _requests.info(line)


def install_guard(app: FastAPI, engine: Engine, settings: GuardSettings, *, workers: int = 1) -> Metrics:
    """Put the guard before an application, its memory shared by its workers; return what it counts with."""
    metrics = Metrics(engine, workers=workers)
    limit = RateLimit(settings.rate) if settings.rate else None
    app.add_middleware(Guard, metrics=metrics, settings=settings, limit=limit)
    return metrics


def _is_preflight(scope: Scope) -> bool:
    return any(name == b"access-control-request-method" for name, _ in scope["headers"])


class _TooLarge(Exception):
    pass


class _Exchange:
    """One request and its response, watched."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, allowance: Headers) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._max_body = body_limit(scope["path"])
        self.request_id = os.urandom(8).hex().encode()
        self._extra = (*security_headers(scope["path"]), *allowance, (b"x-request-id", self.request_id))
        self._received = 0
        self._started = False
        self._refused = False
        # Of a response that never began: whoever asked is gone.
        self.status = 499

    async def answer_preflight(self, *, allowed: bool) -> None:
        """Answer a browser that asks whether a page may ask."""
        if not allowed:
            await self._refuse_with(Problem(403, "Forbidden", NOT_ALLOWED))
            return
        await self.send({"type": "http.response.start", "status": 204, "headers": list(PREFLIGHT)})
        await self.send({"type": "http.response.body", "body": b""})

    async def run(self, app: ASGIApp, admit: Callable[[Scope], None]) -> None:
        """Let the request through to the application, or answer why not."""
        try:
            admit(self._scope)
            self._check_declared_length()
            await app(self._scope, self.receive, self.send)
        except Problem as problem:
            await self._refuse_with(problem)
        except _TooLarge:
            pass
        except Exception:
            if self._started:
                raise
            logging.getLogger(__name__).exception("a request failed (%s)", self.request_id.decode())
            await self._refuse_with(Problem(500, "Internal error", "The server failed; its log says how."))
        if self._refused and not self._started:
            self._refused = False
            detail = f"The request body is limited to {self._max_body:,} bytes."
            await self._refuse_with(Problem(413, "Body too large", detail, headers={"Connection": "close"}))

    async def _refuse_with(self, problem: Problem) -> None:
        await problem_response(problem)(self._scope, self._receive, self.send)

    def _check_declared_length(self) -> None:
        for name, value in self._scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._max_body:
                self._refuse()

    def _refuse(self) -> None:
        self._refused = True
        raise _TooLarge

    async def receive(self) -> Message:
        """Hand on what comes in, up to the limit."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self._max_body:
                self._refuse()
        return message

    async def send(self, message: Message) -> None:
        """Hand on what goes out, with the headers of every response."""
        if self._refused and not self._started:
            return  # a framework may answer the refusal with an error of its own; the 413 is sent in its place
        if message["type"] == "http.response.start":
            self._started = True
            self.status = message["status"]
            headers = message.get("headers", [])
            present = {name.lower() for name, _ in headers}
            extra = (header for header in self._extra if header[0] == b"vary" or header[0] not in present)
            message = {**message, "headers": [*headers, *extra]}
        await self._send(message)
