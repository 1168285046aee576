"""Processes under measurement: their first line, their whole output, their memory, and servers that must be stopped."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
START_S = 120


class RunError(Exception):
    """A measured process failed; the message ends with its own words."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a process printed, a JSON object a line, and what it took.

    ``first_s`` is from its start to its first line; ``peak_mb`` is the most memory resident at once, in it or in a child.
    """

    lines: tuple[dict[str, Any], ...]
    first_s: float
    peak_mb: float


def environment() -> dict[str, str]:
    """Return the environment that measured processes get: this one's, with model hubs switched off."""
    return {**os.environ, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore"}


def run(command: Sequence[str], log: Path) -> Finished:
    """Run a process to its end; raise RunError if it fails or prints nothing."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as errors:
        begun = time.perf_counter()
        process = subprocess.Popen(command, cwd=PROJECT, env=environment(), stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None
        first = process.stdout.readline()
        first_s = time.perf_counter() - begun
        rest = process.stdout.readlines()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
    if process.returncode or not first:
        raise RunError(f"{' '.join(command[:4])} stopped with {process.returncode}: {log.read_text()[-500:].strip()}")
    return Finished(tuple(json.loads(line) for line in (first, *rest)), first_s, usage.ru_maxrss / 1024)


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def server(command: Sequence[str], log: Path) -> Iterator[tuple[str, int]]:
    """Start a server with ``--port`` added, wait until it is ready, and stop it in the end; its address and process id."""
    port = free_port()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as stream:
        whole = [*command, "--port", str(port)]
        process = subprocess.Popen(whole, cwd=PROJECT, env=environment(), stdout=stream, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process, log)
            yield url, process.pid
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/ready", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RunError(f"the server was not ready: {log.read_text()[-500:].strip()}")


def family(pid: int) -> list[int]:
    """Return a process and all that come from it."""
    found = [pid]
    for own in found:
        for task in Path(f"/proc/{own}/task").glob("*/children"):
            found.extend(int(child) for child in task.read_text().split())
    return found


def memory(pid: int) -> dict[str, float]:
    """Return the memory of a process and its descendants in MB: their number, the largest one's RSS, and all shares added.

    A shared page counts once in ``total_mb``: each process counts its part of it (PSS).
    """
    sizes = [_rollup(Path(f"/proc/{own}/smaps_rollup").read_text()) for own in family(pid)]
    return {
        "processes": len(sizes),
        "largest_rss_mb": max(size["Rss"] for size in sizes),
        "total_mb": sum(size["Pss"] for size in sizes),
    }


def _rollup(text: str) -> dict[str, float]:
    rows = (line.split() for line in text.splitlines()[1:])
    return {row[0].rstrip(":"): int(row[1]) / 1024 for row in rows if len(row) == 3}
