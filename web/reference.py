"""The API reference at /docs: openapi.json as one page of plain HTML, without a script.

Swagger UI and its like need inline styles and make HTML from strings; the Content-Security-Policy and Trusted Types
of every other page forbid both. Nothing here knows a route: the page says what the description says.
"""

import json
import shlex
from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from web.pages import TEMPLATES, asset

PREFIX = "#/components/schemas/"
_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "maxItems": "at most {} of them",
}

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a body, or one parameter: ``kind`` in words, ``refers`` the schema it is made of, if it has a name."""

    name: str
    kind: str
    refers: str
    required: bool
    notes: str


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer an operation may give."""

    status: str
    description: str
    media: str
    refers: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path; ``example`` is a command that calls it, from the address on."""

    method: str
    path: str
    summary: str
    parameters: tuple[Field, ...]
    body: str
    example: str
    replies: tuple[Reply, ...]


@router.get("/docs", response_class=HTMLResponse)
def reference(request: Request) -> HTMLResponse:
    """The API reference."""
    described = request.app.openapi()
    schemas = {name: fields(schema) for name, schema in described["components"]["schemas"].items()}
    page = _environment().get_template("reference.html")
    base = str(request.base_url).rstrip("/")
    return HTMLResponse(page.render(info=described["info"], operations=operations(described), schemas=schemas, base=base))


def operations(described: dict[str, Any]) -> tuple[Operation, ...]:
    """Return the operations of a description in its order."""
    schemas = described["components"]["schemas"]
    return tuple(
        _operation(method.upper(), path, operation, schemas)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    )


def _operation(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> Operation:
    parameters = tuple(
        _field(each["name"], each["schema"], required=each.get("required", False)) for each in operation.get("parameters", ())
    )
    replies = []
    for status, reply in operation["responses"].items():
        media, schema = _content(reply)
        replies.append(Reply(status, reply["description"], media, _name(schema)))
    _, body = _content(operation.get("requestBody", {}))
    summary = operation.get("description") or operation.get("summary", "")
    name = _name(body)
    example = _example(path, schemas[name]) if name else path
    return Operation(method, path, summary, parameters, name, example, tuple(replies))


def _example(path: str, schema: dict[str, Any]) -> str:
    """Return the rest of a command that sends the fields which must be there, each as its schema's example has it."""
    required = schema.get("required", ())
    sent = {
        name: each.get("examples", [_kind(each)])[0] for name, each in schema.get("properties", {}).items() if name in required
    }
    return f"{path} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(sent))}"


def _content(holder: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the first media type of a body and its schema, or nothing where there is no body."""
    for media, held in holder.get("content", {}).items():
        return media, held.get("schema", {})
    return "", {}


def fields(schema: dict[str, Any]) -> tuple[Field, ...]:
    """Return the fields of an object's schema."""
    required = schema.get("required", ())
    return tuple(_field(name, each, required=name in required) for name, each in schema.get("properties", {}).items())


def _field(name: str, schema: dict[str, Any], *, required: bool) -> Field:
    notes = [schema["description"]] if schema.get("description") else []
    notes += [words.format(f"{int(schema[limit]):,}") for limit, words in _LIMITS.items() if limit in schema]
    if schema.get("default") not in (None, ""):
        notes.append(f"default {str(schema['default']).lower()}")
    return Field(name, _kind(schema), _name(schema), required, "; ".join(note.rstrip(".") for note in notes))


def _kind(schema: dict[str, Any]) -> str:
    """Say in words what a value is."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(PREFIX)
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " or ".join(repr(each) for each in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("type", "any value"))


def _name(schema: dict[str, Any]) -> str:
    """Return the name of the schema that a value is made of, itself or as a part, or nothing."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(PREFIX)
    parts = [schema["items"]] if "items" in schema else schema.get("anyOf", [])
    return next(filter(None, map(_name, parts)), "")


@cache
def _environment() -> Environment:
    loader = FileSystemLoader(TEMPLATES)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(asset=asset)
    return environment
