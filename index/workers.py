"""Work done side by side: one single-threaded worker process for each core, each with an encoder of its own.

Two workers with a thread each encode more passages than one call with two threads. Workers are started before there is
work, so that they are ready when there is some, and end with the build, however the build ends. What is done is the
caller's business.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from index.encoder import Encoder

OpenEncoder = Callable[[Path], Encoder]
Given = TypeVar("Given")
Made = TypeVar("Made")
_opened: list[Encoder] = []


class WorkerError(Exception):
    """A worker process ended before its work was done."""


class Crew:
    """Worker processes with an encoder each; with fewer than two workers, this process with the encoder it has.

    ``open_encoder``, and all work handed to ``run``, is a function of a module, so that a new process can find it.
    """

    def __init__(self, encoder: Encoder, folder: Path, open_encoder: OpenEncoder, *, workers: int) -> None:
        self._encoder = encoder
        self.size = max(1, workers)
        self._pool: ProcessPoolExecutor | None = None
        if workers > 1:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(folder, open_encoder))
            # New processes ignore Ctrl-C from their first instruction on: it is this process that ends them.
            handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if _is_main_thread() else None
            for _ in range(workers):
                self._pool.submit(os.getpid)
            if handler is not None:
                signal.signal(signal.SIGINT, handler)

    def run(self, work: Callable[[Encoder, Given], Made], items: Sequence[Given]) -> Iterator[tuple[Given, Made]]:
        """Do the work on every item and yield each with what was made of it, in the order in which they are done."""
        if self._pool is None:
            for item in items:
                yield item, work(self._encoder, item)
            return
        try:
            running = {self._pool.submit(_do, work, item): item for item in items}
            for done in as_completed(running):
                yield running[done], done.result()
        except BrokenProcessPool as error:
            raise WorkerError(
                "a worker process ended before its work was done, perhaps for want of memory; build again, the next build goes "
                "on from here (--workers 1 needs the least memory)"
            ) from error

    def __enter__(self) -> "Crew":
        """Return the crew."""
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """End the workers; after an error at once, what they are at left undone."""
        if self._pool is None:
            return
        if kind is not None:
            for process in list((self._pool._processes or {}).values()):
                process.kill()
        self._pool.shutdown(cancel_futures=True)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _begin(folder: Path, open_encoder: OpenEncoder) -> None:
    """Open this worker's encoder, and watch the build: one that is killed cannot tell its workers."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _opened.append(open_encoder(folder))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _do(work: Callable[[Encoder, Given], Made], item: Given) -> Made:
    return work(_opened[0], item)
