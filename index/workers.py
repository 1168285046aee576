"""Shards made side by side: one single-threaded worker process for each core, each with an encoder of its own.

Two workers with a thread each encode more passages than one call with two threads. A worker ends with the build,
however the build ends. What a shard holds is shards.py's business.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing.connection import wait
from pathlib import Path

from index.encoder import Encoder
from index.shards import ShardTask, make_shard

OpenEncoder = Callable[[Path], Encoder]
_opened: list[Encoder] = []


def make_shards(tasks: Sequence[ShardTask], encoder: Path, open_encoder: OpenEncoder, *, workers: int) -> Iterator[ShardTask]:
    """Make the shards in worker processes that open the encoder in the given folder, and yield each task as it is done.

    ``open_encoder`` is a function of a module, so that a new process can find it.
    """
    if workers < 2 or len(tasks) < 2:
        opened = open_encoder(encoder)
        for task in tasks:
            make_shard(task, opened)
            yield task
        return
    context = multiprocessing.get_context("spawn")
    count = min(workers, len(tasks))
    with ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(encoder, open_encoder)) as pool:
        running = {pool.submit(_make, task): task for task in tasks}
        try:
            for done in as_completed(running):
                done.result()
                yield running[done]
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(encoder: Path, open_encoder: OpenEncoder) -> None:
    """Open this worker's encoder, and watch the build: one that is killed cannot tell its workers."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _opened.append(open_encoder(encoder))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _make(task: ShardTask) -> None:
    make_shard(task, _opened[0])
