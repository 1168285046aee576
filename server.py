"""citewell's server: reads its settings, puts the parts together, starts.

    python server.py [--index DIR] [--host H] [--port P] [--workers N] [--accepted-wrong RATE]

Settings come from CITEWELL_INDEX, CITEWELL_HOST, CITEWELL_PORT, CITEWELL_WORKERS and CITEWELL_ACCEPTED_WRONG; an argument wins
over the environment.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from index.environment import prepare_libraries

if __name__ == "__main__":
    prepare_libraries()  # before anything below is imported

from fastapi import FastAPI
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from index.encoder import cores
from index.local import LocalIndex, trusted_generation
from index.storage import StorageError
from qa.answerer import Answerer
from qa.policy import ACCEPTED_WRONG
from qa.starter import ensure_starter_index
from qa.triage import triage
from web.engine import WARM_QUESTION, Engine
from web.pages import router as pages
from web.pages import static_files
from web.reference import ASSETS, reference_files
from web.reference import router as reference
from web.rest import create_app
from web.widget import router as widget
from web.workers import listen, serve

MAX_WORKERS = 64


class Settings(BaseSettings):
    """The server's settings, read once from the environment with the prefix CITEWELL_."""

    model_config = SettingsConfigDict(env_prefix="CITEWELL_", extra="ignore")

    index: Path | None = None
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    workers: int = Field(1, ge=1, le=MAX_WORKERS)
    accepted_wrong: float = Field(ACCEPTED_WRONG, gt=0, lt=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped and return the exit code: 0 stopped, 1 could not start or could not load the index."""
    try:
        settings = read_settings(arguments)
        index = settings.index or ensure_starter_index()
        # A worker that is replaced opens what the others have open, whatever has been built since.
        generation, _ = trusted_generation(index)
        listener = listen(settings.host, settings.port)
    except (StorageError, ValidationError, OSError) as error:
        print(f"error: {_words(error)}", file=sys.stderr)
        return 1
    host, port = listener.getsockname()[:2]
    print(f"citewell serves {index} at http://{host}:{port}/ (API: /docs, stop: Ctrl-C)", file=sys.stderr)
    triage(WARM_QUESTION)  # reads the rules into 35 MB, which workers share where that is done before they are forked
    return serve(application(generation, settings), listener, workers=settings.workers)


def read_settings(arguments: Sequence[str] | None) -> Settings:
    """Return the settings from environment and arguments; raise ValidationError for one that makes no sense."""
    parser = argparse.ArgumentParser(prog="server.py", description="Serve citewell: page, REST API and health checks.")
    parser.add_argument("--index", metavar="DIR", help="default: the starter index, built first if missing")
    parser.add_argument("--host", metavar="H", help="default: 127.0.0.1")
    parser.add_argument("--port", metavar="P", help="default: 8000; 0 takes a free one")
    parser.add_argument("--workers", metavar="N", help="processes that answer, default: 1")
    parser.add_argument("--accepted-wrong", metavar="RATE", help="share of unanswerable questions answered, default: 0.05")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    return Settings(**given)


def application(generation: Path, settings: Settings) -> FastAPI:
    """Return the whole application over one generation, for one of the workers that share the cores."""
    threads = max(1, cores() // settings.workers)
    engine = Engine(lambda: Answerer(LocalIndex.open(generation), accepted_wrong=settings.accepted_wrong), threads=threads)
    app = create_app(engine, pages, reference, widget)
    app.mount(ASSETS, reference_files(), name="reference")
    app.mount("/static", static_files(), name="static")
    return app


def _words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
