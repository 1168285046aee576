"""The one error shape of the wire: problem details (RFC 9457), whatever went wrong and wherever.

An error says what was refused and what to do; it never repeats what was sent.
"""

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

PROBLEM_TYPE = "application/problem+json"


class Problem(Exception):
    """An error to send as problem details: an HTTP status, a short title, and what to do."""

    def __init__(self, status: int, title: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})


def problem_body(problem: Problem) -> bytes:
    """Return the problem as JSON."""
    body = {"type": "about:blank", "title": problem.title, "status": problem.status, "detail": problem.detail}
    return orjson.dumps(body)


def problem_response(problem: Problem) -> Response:
    """Return the problem as an ``application/problem+json`` response."""
    return Response(problem_body(problem), problem.status, headers=problem.headers, media_type=PROBLEM_TYPE)


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
