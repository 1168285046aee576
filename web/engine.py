"""The one answerer a process holds: the moment it becomes ready, and the queue of what is asked of it.

Loading and answering happen beside the event loop, so /live answers at once whatever else goes on. As many questions are
answered at a time as there are threads; more wait in order of arrival, up to a limit, and beyond it are turned away at once.
Nothing here knows about routes.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from mmap import mmap
from typing import TypeVar, cast

from fastapi import Request

from qa.answerer import Answerer
from web.problem import Problem

Result = TypeVar("Result")

WARM_QUESTION = "why does my hip hurt when I run?"
LOADING = "The index is still loading. Try again in a moment."
FAILED = "The index could not be loaded; the server's log says why."
BUSY = "More questions are waiting than can be answered soon. Try again in a moment."
# Questions that one process takes on, those being answered included. 256 wait for at most about two seconds at the slowest
# speed measured (8 ms a question); a reader who waits longer asks again and so makes the queue longer still.
QUEUE = 256


class Busy(Problem):
    """More questions wait than can be answered soon."""

    def __init__(self) -> None:
        super().__init__(503, "Busy", BUSY, headers={"Retry-After": "1"})


class Engine:
    """Holds the answerer from the moment it has answered a warm query; before that, or after a failure, nothing."""

    def __init__(self, load: Callable[[], Answerer], *, threads: int = 1, queue: int = QUEUE) -> None:
        self._load = load
        self._answerer: Answerer | None = None
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="citewell-answer")
        # One more than there are threads is handed over, so that no thread waits for the event loop between two questions.
        self._turns = asyncio.Semaphore(threads + 1)
        self._queue = queue
        self._inside = 0
        self._places: bytearray | mmap = bytearray(1)
        self._place = 0
        self.failed = False

    def stand_with(self, places: mmap, place: int) -> None:
        """Keep in a memory shared with other processes, at a place of one's own, whether one is ready: 0 no, 1 yes."""
        self._places, self._place = places, place

    def start(self) -> None:
        """Begin loading in a thread of its own, unless loaded already, and return at once."""
        if self._answerer is None:
            threading.Thread(target=self.load_or_say, name="citewell-load", daemon=True).start()

    def stop(self) -> None:
        """Let the question being answered end and forget the others."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def place(self) -> int:
        """The place of this process among those that share a memory."""
        return self._place

    @property
    def answerer(self) -> Answerer | None:
        """The answerer when ready, else None."""
        return self._answerer

    def load_or_say(self) -> bool:
        """Load, and say whether that went well; the log says why not, in the words of the error: nobody has asked yet."""
        try:
            self.load()
        except Exception as error:
            logging.getLogger(__name__).error("the index could not be loaded: %s", error, exc_info=error)
            return False
        return True

    def load(self) -> None:
        """Open the index and answer a warm question; where that fails say so in ``failed`` and raise what failed."""
        try:
            answerer = self._load()
            answerer.ask(WARM_QUESTION)
        except Exception:
            self.failed = True  # the reason goes to the log, never to a reader
            raise
        self._answerer = answerer
        self._places[self._place] = 1

    async def run(self, request: Request, work: Callable[[Answerer], Result]) -> Result:
        """Return what the work makes of the answerer, done in its turn on a thread of the engine's.

        Raises Problem: 503 before the answerer is ready or where too many wait, 499 where the asker left before his turn.
        """
        answerer = self.require()
        if self._inside >= self._queue:
            raise Busy
        self._inside += 1
        try:
            waited = self._turns.locked()
            async with self._turns:
                if waited and await request.is_disconnected():
                    raise Problem(499, "Client closed request", "Nobody waits for this answer any more.")
                return await asyncio.get_running_loop().run_in_executor(self._threads, work, answerer)
        finally:
            self._inside -= 1

    @property
    def all_ready(self) -> bool:
        """Whether this process and all it stands with have answered a warm query."""
        return all(self._places[:])

    def require(self) -> Answerer:
        """Return the answerer, or raise Problem 503 before it is ready."""
        if self._answerer is None:
            raise Problem(503, "Not ready", FAILED if self.failed else LOADING, headers={"Retry-After": "1"})
        return self._answerer


def engine_of(request: Request) -> Engine:
    """Return the engine of the application that was asked."""
    return cast(Engine, request.app.state.engine)
