"""``server.py --mcp`` as a process: what stands on its pipes, and how it ends."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT, hear_ctrl_c
from tests.test_mcp import QUESTION, SEARCH


def speaker(index: Path) -> subprocess.Popen[str]:
    """Start a process that speaks over its pipes."""
    command, pipe = [sys.executable, "server.py", "--mcp", "--index", str(index)], subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=PROJECT, preexec_fn=hear_ctrl_c)


def test_stdout_carries_nothing_but_the_protocol(starter_path: Path) -> None:
    hello = {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    }
    lines = [
        hello,
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        SEARCH,
        {"jsonrpc": "2.0", "id": 2, "method": "no"},
    ]
    with speaker(starter_path) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write("no json\n" + "".join(json.dumps(line) + "\n" for line in lines))
        process.stdin.flush()
        replies = [json.loads(process.stdout.readline()) for _ in range(3)]
        rest, errors = process.communicate(timeout=30)  # closes stdin, and the server ends
    assert (process.returncode, rest) == (0, "")
    assert {reply["id"] for reply in replies} == {0, 1, 2}
    assert QUESTION not in errors


def test_an_index_that_is_none_is_told_on_stderr(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "server.py", "--mcp", "--index", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")


def test_a_client_that_has_gone_ends_the_server(starter_path: Path) -> None:
    with speaker(starter_path) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}) + "\n")
        process.stdin.close()
        errors = process.stderr.read()
        process.wait(timeout=30)
    assert "Traceback" not in errors
    assert "closed the pipe" in errors


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_waits_for_a_line_hears_signals(starter_path: Path, signal_: signal.Signals) -> None:
    with speaker(starter_path) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 1
        process.send_signal(signal_)
        assert process.wait(timeout=10) == -signal_
