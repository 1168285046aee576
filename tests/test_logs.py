"""The log: JSON lines for everything, exceptions without their messages, other libraries without their words."""

import json
import logging
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import PROJECT, running_server
from web.logs import FIELDS, JsonLines, TextLines, Withhold, stack_of

CANARY = "marmalade-canary"


def lines(log: Path) -> list[dict[str, Any]]:
    """Return what a log of JSON lines holds; every line must be one."""
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_everything_is_a_json_line(starter_path: Path, tmp_path: Path, workers: str) -> None:
    log = tmp_path / "log.txt"
    server = running_server(starter_path, log, "--log", "json", "--workers", workers)
    with server as url:
        answer = httpx.post(f"{url}/v1/ask?{CANARY}=1", json={"question": CANARY})
        httpx.get(f"{url}/{CANARY}")
        httpx.get(f"{url}/v1/passages/{CANARY}")
        httpx.request("MARMALADE", f"{url}/live")
        with httpx.Client() as client:
            client.get(f"{url}/live", headers={"Connection": "upgrade", "Upgrade": CANARY})
    found = lines(log)
    assert all(set(line) <= set(FIELDS) and {"time", "level", "logger", "message"} <= set(line) for line in found)
    assert found[0]["message"].startswith("citewell serves ")
    assert all(line["time"].endswith("Z") for line in found)
    (asked,) = [line for line in found if line.get("route") == "/v1/ask"]
    assert asked["request_id"] == answer.headers["x-request-id"]
    assert (asked["method"], asked["status"], asked["logger"]) == ("POST", 200, "citewell.requests")
    assert asked["ms"] > 0
    assert {line["route"] for line in found if line.get("status") == 404} == {"other", "/v1/passages/{passage_id}"}
    assert {line["method"] for line in found if line.get("status") == 405} <= {"other"}
    assert "marmalade" not in log.read_text().lower()


def test_as_text_only_what_matters_is_said(starter_path: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with running_server(starter_path, log) as url:
        httpx.get(f"{url}/{CANARY}")
    (line,) = log.read_text().splitlines()
    assert line.startswith("citewell serves ")


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_index_that_cannot_be_loaded_is_explained(tmp_path: Path, form: str) -> None:
    done = subprocess.run(
        [sys.executable, "server.py", "--index", str(tmp_path), "--log", form],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    words = json.loads(done.stderr)["message"] if form == "json" else done.stderr
    assert str(tmp_path) in words


def failing(form: str) -> str:
    """Return what a process logs in which everything fails with the canary in its mouth."""
    program = f"""
        import asyncio, logging, threading, warnings, sys
        from fastapi import FastAPI
        from starlette.testclient import TestClient
        from web.engine import Engine
        from web.logs import configure_logs
        from web.rest import create_app

        configure_logs({form!r})
        app = create_app(Engine(lambda: None))

        @app.get("/broken")
        def broken() -> None:
            question = "{CANARY}"
            try:
                raise KeyError(question)
            except KeyError as error:
                raise ExceptionGroup(question, [ValueError(question), OSError(question)]) from error

        client = TestClient(app, raise_server_exceptions=False)
        assert client.get("/broken").status_code == 500
        assert "{CANARY}" not in client.get("/broken").text
        warnings.warn("{CANARY}", UserWarning)
        logging.getLogger("some.library").warning("%s", "{CANARY}")
        logging.getLogger("uvicorn.error").error("Exception in ASGI application\\n", exc_info=ValueError("{CANARY}"))

        def fail() -> None:
            raise ValueError("{CANARY}")

        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()

        async def forgotten() -> None:
            asyncio.get_running_loop().call_soon(fail)
            await asyncio.sleep(0.01)

        asyncio.run(forgotten())
        fail()
    """
    command = [sys.executable, "-c", textwrap.dedent(program).replace(f'"{CANARY}"', '"marma" "lade-canary"')]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    return done.stderr


def test_failures_are_logged_without_what_they_say_as_text() -> None:
    said = failing("text")
    assert "marmalade" not in said
    for words in ("error: a request failed", "KeyError", "ExceptionGroup of:", "OSError", ", in broken", "UserWarning at "):
        assert words in said
    assert "warning: message withheld (some.library, " in said
    assert "error: a thread failed" in said
    assert "critical: ended by an error" in said


def test_failures_are_logged_without_what_they_say_as_json() -> None:
    found = [json.loads(line) for line in failing("json").splitlines()]
    assert "marmalade" not in json.dumps(found)
    failed = next(line for line in found if line["message"].startswith("a request failed"))
    assert "ExceptionGroup of:" in failed["exception"]
    assert ", in broken" in failed["exception"]
    assert {"citewell", "some.library", "uvicorn.error", "asyncio", "web.guard"} <= {line["logger"] for line in found}


def test_a_chain_of_causes_keeps_types_and_places() -> None:
    try:
        try:
            raise ValueError(CANARY)
        except ValueError as error:
            raise httpx.ReadError(CANARY) from error
    except httpx.ReadError as error:
        said = stack_of(error)
    assert "httpx.ReadError" in said
    assert "ValueError" in said
    assert said.count("test_logs.py") == 2
    assert said.count(CANARY) == 0
    assert stack_of(None) == ""


@pytest.mark.parametrize("formatter", [TextLines(), JsonLines()])
def test_what_another_formatter_has_cached_is_not_used(formatter: logging.Formatter) -> None:
    record = logging.LogRecord("web.x", logging.ERROR, __file__, 1, "failed", None, (ValueError, ValueError(CANARY), None))
    logging.Formatter().format(record)
    assert CANARY in (record.exc_text or "")
    assert CANARY not in formatter.format(record)


def test_fields_that_libraries_add_are_left_out() -> None:
    record = logging.LogRecord("uvicorn.error", logging.INFO, __file__, 1, "said", None, None)
    record.color_message = CANARY
    assert Withhold().filter(record)
    assert set(json.loads(JsonLines().format(record))) == {"time", "level", "logger", "message"}
