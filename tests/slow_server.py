"""A server whose slow questions wait for a file to appear, and that can stream for ever; a program for tests of stopping.

python -m tests.slow_server INDEX PORT WORKERS FOLDER
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from index.facets import EVERYTHING, Filters
from index.local import LocalIndex
from qa.answer import Answer
from qa.answerer import Answerer
from web.engine import Engine
from web.logs import configure_logs
from web.rest import create_app
from web.workers import listen, serve

SLOW = "what is sciatica?"
ASKED, GATE, STREAMING = "asked", "gate", "streaming"


class Slow(Answerer):
    """Answers as ever, the slow question only once there is a gate in the folder."""

    def __init__(self, index: LocalIndex, folder: Path) -> None:
        super().__init__(index)
        self._folder = folder

    def ask(
        self,
        question: str,
        history: Sequence[str] = (),
        *,
        top_k: int = 3,
        after_alert: bool = False,
        filters: Filters = EVERYTHING,
    ) -> Answer:
        if question == SLOW:
            (self._folder / ASKED).touch()
            while not (self._folder / GATE).exists():
                time.sleep(0.02)
        return super().ask(question, history, top_k=top_k, after_alert=after_alert, filters=filters)


def streaming(folder: Path) -> APIRouter:
    """Return a route that streams until its reader leaves or the server stops."""
    router = APIRouter()

    async def events() -> AsyncIterator[bytes]:
        while True:
            yield b"data: {}\n\n"
            (folder / STREAMING).touch()
            await asyncio.sleep(0.1)

    @router.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(events(), media_type="text/event-stream")

    return router


def main(index: str, port: str, workers: str, folder: str) -> int:
    """Serve until told to stop."""
    engine = Engine(lambda: Slow(LocalIndex.open(Path(index)), Path(folder)), threads=2)
    configure_logs("text")
    app = create_app(engine, streaming(Path(folder)), workers=int(workers))
    return serve(app, listen("127.0.0.1", int(port)), workers=int(workers))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
