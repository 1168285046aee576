"""Serving: one process, or several forked ones that listen on one port.

The processes are forked, not spawned: what they have imported and read by then is shared. That is safe as long as the parent
has one thread and no open index. So nothing here runs an event loop or opens the index before it forks, and each process
opens the generation for itself, its files mapped and so shared through the page cache. Each has a listening socket of its
own, among which the kernel deals out the connections; of one socket shared by all, whoever wakes first takes every
connection that waits. The parent waits for signals instead of handling them, so none is lost between two instructions.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from mmap import mmap

import uvicorn
from fastapi import FastAPI

from web.engine import Engine
from web.logs import log
from web.wire import Wire

# Exit codes of a process: stopped when told to, or the index could not be loaded. Any other end is a crash.
STOPPED, FAILED = 0, 1
# Seconds that questions under way are given when the server is told to stop, and that its workers are waited for in all.
GRACE_S = 10
STOP_S = 15
# A worker that crashed is replaced after this pause, so that one which crashes at once does not take a core by itself.
PAUSE_S = 1.0
# How often a process looks whether its index failed to load, or whether it has lost its parent.
LOOK_S = 0.25
# Connections that may wait to be taken on.
BACKLOG = 2048
# What the parent waits for: that a worker ended, or that it is told to stop. A system without SIGCHLD cannot fork either.
_SIGNALS = {signal.SIGINT, signal.SIGTERM} | {getattr(signal, "SIGCHLD", signal.SIGTERM)}


def serve(app: FastAPI, listener: socket.socket, *, workers: int = 1, proxies: Sequence[str] = ()) -> int:
    """Serve until told to stop by SIGINT or SIGTERM; return 0, or 1 where the index could not be loaded.

    Only the addresses and networks of ``proxies`` are believed when they say whom they forward for. Several workers need a
    system that forks and deals out connections among the sockets of a port, as Linux does.
    """
    config = uvicorn.Config(
        app,
        http=Wire,
        ws="none",
        loop="asyncio",
        access_log=False,
        log_config=None,
        log_level="warning",
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    logging.getLogger("uvicorn.error").addFilter(_tells_more_than_a_stop)
    if workers == 1:
        return _serve_alone(config, listener)
    return _Workers(config, listener, workers).run()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on host and port, or raise OSError in words."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise OSError(f"cannot listen on {host} port {port}: {reason}; choose another with --port") from error
    return _without_delay(listener)


def _without_delay(listener: socket.socket) -> socket.socket:
    # Accepted connections inherit it. Without it a response waits 40 ms for the delayed acknowledgement of its headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _tells_more_than_a_stop(record: logging.LogRecord) -> bool:
    # uvicorn says in a line of its own how many requests it cuts off when the grace is over; their stacks tell nothing.
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def _engine(config: uvicorn.Config) -> Engine:
    engine: Engine = config.app.state.engine  # type: ignore[union-attr]
    return engine


def _serve_alone(config: uvicorn.Config, listener: socket.socket, *, parent: int | None = None) -> int:
    """Serve in this process; with a parent, stop when it is gone."""
    engine = _engine(config)
    # SIGTERM ends what SIGINT ends, and as quietly: uvicorn hands on both when it has closed everything.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        server = uvicorn.Server(config)
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_run(server, engine, listener, parent))
    return FAILED if engine.failed else STOPPED


async def _run(server: uvicorn.Server, engine: Engine, listener: socket.socket, parent: int | None) -> None:
    async def watch() -> None:
        while not engine.failed and (parent is None or os.getppid() == parent):
            await asyncio.sleep(LOOK_S)
        server.should_exit = True

    watching = asyncio.create_task(watch())
    await server.serve(sockets=[listener])
    watching.cancel()


class _Workers:
    """The processes at work: one that crashed is replaced; one of the first that cannot load the index ends them all.

    A replacement that cannot load it (its generation was removed by two later builds, memory is short) is tried again and
    again, while the others serve on.
    """

    def __init__(self, config: uvicorn.Config, listener: socket.socket, count: int) -> None:
        self._config = config
        self._family, self._address = listener.family, listener.getsockname()
        # Listening alone proved that the port is free. Sockets that share it must all say so from the start; this one only
        # keeps it, for a socket that does not listen is dealt no connection.
        listener.close()
        self._kept = socket.socket(self._family)
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._kept.bind(self._address)
        self._parent = os.getpid()
        self._ready = mmap(-1, count)
        self._pids: dict[int, int] = {}
        self._late: set[int] = set()

    def run(self) -> int:
        """Keep them at work until told to stop; return the exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        gc.collect()
        gc.freeze()  # the collector would write to every page it visits, and a page written to is shared no more
        for place in range(len(self._ready)):
            self._fork(place)
        code = self._keep()
        _stop(set(self._pids))
        return code

    def _keep(self) -> int:
        while signal.sigwait(_SIGNALS) == signal.SIGCHLD:
            ended = _reap(set(self._pids))
            places = {pid: self._pids.pop(pid) for pid in ended}
            if any(code == FAILED and pid not in self._late for pid, code in ended.items()):
                log.error("a worker could not load the index; the reason stands above. All stop.")
                return FAILED
            for pid, code in ended.items():
                self._ready[places[pid]] = 0
                log.warning("worker %d ended with code %d; another takes its place", pid, code)
                time.sleep(PAUSE_S)
                self._fork(places[pid], late=True)
        return STOPPED

    def _fork(self, place: int, *, late: bool = False) -> None:
        """Start the process of one place; a late one listens only when it can answer, as others do meanwhile."""
        if threading.active_count() > 1:
            raise RuntimeError("workers are forked before any thread is started")
        if pid := os.fork():
            self._pids[pid] = place
            if late:
                self._late.add(pid)
            return
        code = os.EX_SOFTWARE
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            code = self._work(place, late=late)
        except Exception:
            logging.getLogger(__name__).exception("a worker failed")
        finally:
            logging.shutdown()
            os._exit(code)

    def _work(self, place: int, *, late: bool) -> int:
        engine = _engine(self._config)
        engine.stand_with(self._ready, place)
        if late and not engine.load_or_say():
            return FAILED
        listener = socket.create_server(self._address[:2], family=self._family, backlog=BACKLOG, reuse_port=True)
        return _serve_alone(self._config, _without_delay(listener), parent=self._parent)


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
