"""What openapi.json says of every operation beside what its route says: the answers that the guard may give in its place.

Nothing here decides what the guard does; it reads the same settings.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from web.guard import HEALTH, GuardSettings, body_limit
from web.problem import PROBLEM_TYPE
from web.rate import is_counted

_PROBLEM = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
_RETRY = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}
# FastAPI's own shape of a refusal, which is not ours.
_UNUSED = ("HTTPValidationError", "ValidationError")
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def describe(app: FastAPI, settings: GuardSettings) -> dict[str, Any]:
    """Return the OpenAPI description of the application behind a guard with these settings."""
    found = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            _add_guard(operation, method.upper(), path, settings)
    for name in _UNUSED:
        found["components"]["schemas"].pop(name, None)
    if settings.keys:
        found["components"]["securitySchemes"] = SCHEMES
    return found


def _add_guard(operation: dict[str, Any], method: str, path: str, settings: GuardSettings) -> None:
    """Add to one operation what the guard may answer."""
    responses = operation["responses"]
    if "requestBody" not in operation and all(each["in"] == "path" for each in operation.get("parameters", ())):
        responses.pop("422", None)  # nothing but text in the path, which is never invalid
    for status, response in responses.items():
        if status >= "400" and _is_problem(response):
            response["content"] = _PROBLEM
    responses.setdefault("400", {"description": "No readable request", "content": _PROBLEM})
    responses["413"] = {"description": f"Body over {body_limit(path):,} bytes", "content": _PROBLEM}
    if settings.keys and path not in HEALTH:
        responses["401"] = {"description": "No valid API key", "content": _PROBLEM}
        operation["security"] = [{name: []} for name in SCHEMES]
    if settings.rate and is_counted(method, path):
        responses["429"] = {"description": "Too many requests", "content": _PROBLEM, "headers": _RETRY}
    operation["responses"] = dict(sorted(responses.items()))


def _is_problem(response: dict[str, Any]) -> bool:
    """Say whether a response is described as a problem, or as FastAPI describes what it refuses, or not at all."""
    named = {str(held.get("schema", {}).get("$ref", "")).rpartition("/")[2] for held in response.get("content", {}).values()}
    return named <= {"ProblemDetails", "", *_UNUSED}
