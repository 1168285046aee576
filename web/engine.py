"""The one answerer a server holds, and the moment it becomes ready.

Loading happens beside the event loop, so /live answers at once and /ready only after a warm query has run. Nothing here
knows about routes.
"""

import threading
from collections.abc import Callable
from typing import cast

from fastapi import Request

from qa.answerer import Answerer
from web.guard import Problem

WARM_QUESTION = "why does my hip hurt when I run?"
LOADING = "The index is still loading. Try again in a moment."
FAILED = "The index could not be loaded; the server's log says why."


class Engine:
    """Holds the answerer from the moment it has answered a warm query; before that, or after a failure, nothing."""

    def __init__(self, load: Callable[[], Answerer]) -> None:
        self._load = load
        self._answerer: Answerer | None = None
        self.failed = False

    def start(self) -> None:
        """Begin loading in a thread of its own and return at once."""
        threading.Thread(target=self._warm, name="citewell-load", daemon=True).start()

    @property
    def answerer(self) -> Answerer | None:
        """The answerer when ready, else None."""
        return self._answerer

    def _warm(self) -> None:
        try:
            answerer = self._load()
            answerer.ask(WARM_QUESTION)
        except Exception:
            self.failed = True  # the reason goes to the log with the thread's end, never to a reader
            raise
        self._answerer = answerer


def ready_answerer(request: Request) -> Answerer:
    """Return the ready answerer of this application, or fail with 503 problem details."""
    engine = cast(Engine, request.app.state.engine)
    if engine.answerer is None:
        detail = FAILED if engine.failed else LOADING
        raise Problem(503, "Not ready", detail, headers={"Retry-After": "1"})
    return engine.answerer
