"""The obvious web service over sentence-transformers and FAISS: FastAPI, one process, a plain function for a route.

    python -m benchmarks.peers.plain_http OUT --model DIR --port P

OUT is what ``benchmarks.peers.plain build`` wrote.
"""

import argparse
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.peers.plain import load, search


class Body(BaseModel):
    """A question as it is posted."""

    question: str


def application(best: Any) -> FastAPI:
    """Return the service around a function that gives a question's best passages."""
    app = FastAPI()

    @app.post("/v1/ask")
    def ask(body: Body) -> dict[str, Any]:
        return {"passages": [{"id": name, "text": text, "score": score} for name, text, score in best(body.question)]}

    @app.get("/live")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/ready")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    return app


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    best = search(load(options.model), options.out)
    best("what is sciatica?")
    uvicorn.run(application(best), port=options.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
