"""Serving: one process, or several forked ones, on one listening socket.

The processes are forked, not spawned, because what they have imported is then shared: a worker costs a third less memory.
That is safe as long as the parent has one thread and no open index, which ``serve`` makes sure of: it runs before any event
loop, and each process opens the generation for itself, its files mapped and so shared through the page cache. Signals are
waited for, never handled, so none is lost between two instructions.
"""

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from socket import socket

import uvicorn
from fastapi import FastAPI

from web.engine import Engine

# Exit codes of a process: stopped when told to, or the index could not be loaded. Any other end is a crash.
STOPPED, FAILED = 0, 1
# Seconds that questions under way are given when the server is told to stop, and that its workers are waited for in all.
GRACE_S = 10
STOP_S = 15
# A worker that crashed is replaced after this pause, so that one which crashes at once does not take a core by itself.
PAUSE_S = 1.0
# How often a process looks whether its index failed to load, or whether it has lost its parent.
LOOK_S = 0.25
_SIGNALS = {signal.SIGCHLD, signal.SIGINT, signal.SIGTERM}


def serve(app: FastAPI, listener: socket, *, workers: int = 1) -> int:
    """Serve until told to stop by SIGINT or SIGTERM; return 0, or 1 where the index could not be loaded."""
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    if workers == 1:
        return _serve_alone(config, listener)
    return _supervise(lambda: _serve_alone(config, listener, parent=os.getppid()), workers)


def _serve_alone(config: uvicorn.Config, listener: socket, *, parent: int | None = None) -> int:
    """Serve in this process; with a parent, stop when it is gone."""
    engine: Engine = config.app.state.engine  # type: ignore[union-attr]
    # SIGTERM ends what SIGINT ends, and as quietly: uvicorn hands on both when it has closed everything.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        server = uvicorn.Server(config)
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_run(server, engine, listener, parent))
    return FAILED if engine.failed else STOPPED


async def _run(server: uvicorn.Server, engine: Engine, listener: socket, parent: int | None) -> None:
    async def watch() -> None:
        while not engine.failed and (parent is None or os.getppid() == parent):
            await asyncio.sleep(LOOK_S)
        server.should_exit = True

    watching = asyncio.create_task(watch())
    await server.serve(sockets=[listener])
    watching.cancel()


def _supervise(work: Callable[[], int], workers: int) -> int:
    """Keep so many processes at work; a crashed one is replaced, one that cannot load the index ends the server."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    gc.collect()
    gc.freeze()  # the collector would write to every page it visits, and a page written to is shared no more
    pids = {_fork(work) for _ in range(workers)}
    while True:
        if signal.sigwait(_SIGNALS) != signal.SIGCHLD:
            _stop(pids)
            return STOPPED
        ended = _reap(pids)
        pids -= ended.keys()
        if FAILED in ended.values():
            print("error: a worker could not load the index; the reason stands above. The server stops.", file=sys.stderr)
            _stop(pids)
            return FAILED
        for pid, code in ended.items():
            print(f"worker {pid} ended with code {code}; another takes its place", file=sys.stderr)
            time.sleep(PAUSE_S)
            pids.add(_fork(work))


def _fork(work: Callable[[], int]) -> int:
    """Start a process that works and exits with the work's code; return its id."""
    if threading.active_count() > 1:
        raise RuntimeError("workers are forked before any thread is started")
    if pid := os.fork():
        return pid
    code = os.EX_SOFTWARE
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        code = work()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _reap(pids: set[int]) -> dict[int, int]:
    """Return the exit codes of those processes that have ended; that of one killed by a signal is the signal, negative."""
    ended = {}
    for pid in pids:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            ended[pid] = os.waitstatus_to_exitcode(status)
    return ended


def _stop(pids: set[int]) -> None:
    """Tell the processes to stop and wait for them; one that does not is killed."""
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    left, deadline = set(pids), time.monotonic() + STOP_S
    while left and time.monotonic() < deadline:
        left -= _reap(left).keys()
        signal.sigtimedwait({signal.SIGCHLD}, LOOK_S)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
