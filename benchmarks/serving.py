"""citewell's server beside the obvious one: throughput, tail, /live under load, memory, and what HTTP adds to an answer."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from benchmarks.environments import Environment
from benchmarks.material import turned
from benchmarks.peers.verbs import WARM_UP
from benchmarks.processes import PROJECT, RunError, memory, server

ASK = "/v1/ask"


@cache
def takes_workers() -> bool:
    """Say whether the server can be told how many processes to serve with."""
    shown = subprocess.run([sys.executable, "server.py", "--help"], cwd=PROJECT, capture_output=True, text=True, check=True)
    return "--workers" in shown.stdout


def own_server(index: Path, workers: int) -> list[str]:
    """Return the command that serves an index with citewell."""
    command = [sys.executable, "server.py", "--index", str(index)]
    return [*command, "--workers", str(workers)] if takes_workers() else command


def plain_server(environment: Environment, index: Path, model: str) -> list[str]:
    """Return the command that serves the plain system's index."""
    return [str(environment.python), "-m", "benchmarks.peers.plain_http", str(index), "--model", model]


def load(url: str, questions: Path, clients: int, seconds: float) -> dict[str, Any]:
    """Return what the load generator, a process of its own, says of a server."""
    command = [sys.executable, "benchmarks/load.py", url, "--path", ASK, "--clients", str(clients)]
    command += ["--seconds", f"{seconds:g}", "--questions", str(questions), "--json"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise RunError(f"the load generator stopped: {done.stderr[-500:].strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def under_load(
    command: Sequence[str], questions: Path, folder: Path, *, clients: Sequence[int], seconds: float
) -> list[dict[str, Any]]:
    """Start a server, put it under the load of each number of clients, and return what was seen."""
    lines = questions.read_text(encoding="utf-8").splitlines()
    found = []
    with server(command, folder / "server.log") as (url, _):
        for turn, count in enumerate(clients):
            own = folder / f"questions-{turn}.txt"
            own.write_text("\n".join(turned(lines, turn)) + "\n", encoding="utf-8")
            found.append(load(url, own, count, seconds))
    return found


def memory_of(command: Sequence[str], questions: Path, folder: Path) -> dict[str, float]:
    """Return the memory of a server that has answered questions for some seconds."""
    with server(command, folder / "server.log") as (url, pid):
        load(url, questions, 8, 3)
        return memory(pid)


def round_trips(command: Sequence[str], questions: Sequence[str], folder: Path) -> dict[str, float]:
    """Return the median milliseconds of an answer over HTTP, and of /live, for one client that asks one thing at a time."""
    with server(command, folder / "server.log") as (url, _):
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        bodies = [json.dumps({"question": question}).encode() for question in questions]
        for body in bodies[:WARM_UP]:
            _exchange(connection, "POST", ASK, body)
        asked = [_exchange(connection, "POST", ASK, body) for body in bodies]
        lives = [_exchange(connection, "GET", "/live", None) for _ in bodies]
        connection.close()
    return {"ask_ms": median(asked), "live_ms": median(lives)}


def _exchange(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None) -> float:
    begun = time.perf_counter()
    connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    response = connection.getresponse()
    response.read()
    if response.status != http.client.OK:
        raise RunError(f"{path} gave {response.status}")
    return (time.perf_counter() - begun) * 1000
