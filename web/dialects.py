"""Errors in the dialect of the protocol that was spoken: problem details, with the member ``error`` its clients look for.

Whatever layer made the error, a route, the guard or the framework, it leaves here in the one shape of RFC 9457; chat clients
find their own member in it. Nothing else is touched.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.problem import PROBLEM_TYPE

Problem = Mapping[str, Any]
# What OpenAI's clients call the kinds of errors.
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


def _openai(problem: Problem) -> dict[str, Any]:
    status = problem["status"]
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"message": problem["detail"], "type": kind, "param": None, "code": None}


def _deep_chat(problem: Problem) -> str:
    detail: str = problem["detail"]
    return detail


_DIALECTS: tuple[tuple[tuple[str, ...], Callable[[Problem], Any]], ...] = (
    (("/v1/chat/completions", "/chat/completions", "/v1/models", "/models"), _openai),
    (("/v1/deep-chat",), _deep_chat),
)


def _dialect(path: str) -> Callable[[Problem], Any] | None:
    for paths, said in _DIALECTS:
        if any(path == own or path.startswith(f"{own}/") for own in paths):
            return said
    return None


class Dialects:
    """ASGI middleware: adds to an error's problem details what the protocol's clients read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        said = _dialect(scope["path"]) if scope["type"] == "http" else None
        await self._app(scope, receive, send if said is None else _Translated(send, said).send)


class _Translated:
    """One response: held back while it is an error in problem details, passed on as it is otherwise."""

    def __init__(self, send: Send, said: Callable[[Problem], Any]) -> None:
        self._send, self._said = send, said
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_problem(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start)

    async def _finish(self, start: Message) -> None:
        problem = orjson.loads(self._body)
        body = orjson.dumps({**problem, "error": self._said(problem)})
        headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        await self._send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await self._send({"type": "http.response.body", "body": body})


def _is_problem(start: Message) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(PROBLEM_TYPE.encode()) for name, value in start["headers"])
