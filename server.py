"""citewell's server: reads its settings, puts the parts together, starts.

    python server.py [--index DIR] [--host H] [--port P] [--workers N] [--accepted-wrong RATE] [--public-url URL]
                     [--feedback FILE] [--unanswered FILE]
    python server.py --mcp [--index DIR]

Settings come from CITEWELL_INDEX, CITEWELL_HOST, CITEWELL_PORT, CITEWELL_WORKERS, CITEWELL_ACCEPTED_WRONG, CITEWELL_PUBLIC_URL,
CITEWELL_FEEDBACK and CITEWELL_UNANSWERED; an argument wins over the environment. With --mcp it speaks the Model Context Protocol
over stdin and stdout instead of HTTP.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from index.environment import prepare_libraries

if __name__ == "__main__":
    prepare_libraries()  # before anything below is imported

from fastapi import FastAPI
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from index.encoder import cores
from index.local import LocalIndex, trusted_generation
from index.storage import StorageError
from index.vocabulary import VocabularyError, open_vocabulary
from qa.answerer import Answerer
from qa.policy import ACCEPTED_WRONG
from qa.starter import ensure_starter_index
from qa.triage import triage
from web import deep_chat, feedback, mcp, openai, unanswered
from web.addresses import checked_public_url
from web.dialects import Dialects
from web.engine import WARM_QUESTION, Engine
from web.pages import router as pages
from web.pages import static_files
from web.reference import ASSETS, reference_files
from web.reference import router as reference
from web.rest import create_app
from web.store import StoreError
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
    feedback: Path | None = None
    unanswered: Path | None = None
    public_url: str = ""

    @field_validator("public_url")
    @classmethod
    def _absolute(cls, value: str) -> str:
        return checked_public_url(value) if value else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped and return the exit code: 0 stopped, 1 could not start or could not load the index."""
    try:
        settings = read_settings(arguments)
        index = settings.index or ensure_starter_index()
        # A worker that is replaced opens what the others have open, whatever has been built since.
        generation, _ = trusted_generation(index)
        if _parser().parse_args(arguments).mcp:
            return _serve_stdio(generation, settings)
        app = application(generation, settings)
        listener = listen(settings.host, settings.port)
    except (StorageError, StoreError, VocabularyError, ValidationError, OSError) as error:
        print(f"error: {_words(error)}", file=sys.stderr)
        return 1
    host, port = listener.getsockname()[:2]
    print(f"citewell serves {index} at http://{host}:{port}/ (API: /docs, stop: Ctrl-C)", file=sys.stderr)
    triage(WARM_QUESTION)  # reads the rules into 35 MB, which workers share where that is done before they are forked
    return serve(app, listener, workers=settings.workers)


def read_settings(arguments: Sequence[str] | None) -> Settings:
    """Return the settings from environment and arguments; raise ValidationError for one that makes no sense."""
    given = {name: value for name, value in vars(_parser().parse_args(arguments)).items() if value is not None}
    return Settings(**given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="server.py", description="Serve citewell: page, APIs and health checks.")
    parser.add_argument("--index", metavar="DIR", help="default: the starter index, built first if missing")
    parser.add_argument("--host", metavar="H", help="default: 127.0.0.1")
    parser.add_argument("--port", metavar="P", help="default: 8000; 0 takes a free one")
    parser.add_argument("--workers", metavar="N", help="processes that answer, default: 1")
    parser.add_argument("--accepted-wrong", metavar="RATE", help="share of unanswerable questions answered, default: 0.05")
    parser.add_argument("--feedback", metavar="FILE", help="keep readers' feedback in this SQLite file; default: none")
    parser.add_argument("--unanswered", metavar="FILE", help="count unanswered questions' words in this one; default: none")
    parser.add_argument("--public-url", metavar="URL", help="base of the addresses in citations, default: as requested")
    parser.add_argument("--mcp", action="store_true", help="speak MCP over stdin and stdout instead of HTTP")
    return parser


def application(generation: Path, settings: Settings) -> FastAPI:
    """Return the whole application over one generation, for one of the workers that share the cores."""
    threads = max(1, cores() // settings.workers)
    engine = Engine(lambda: Answerer(LocalIndex.open(generation), accepted_wrong=settings.accepted_wrong), threads=threads)
    routers = (pages, reference, openai.router, deep_chat.router, mcp.router, feedback.router, unanswered.router)
    app = create_app(engine, *routers)
    app.state.public_url = settings.public_url
    app.state.feedback = settings.feedback is not None
    if settings.feedback:
        app.state.votes = feedback.Feedback(feedback.open_votes(settings.feedback))
    if settings.unanswered:
        counts = unanswered.open_counts(settings.unanswered)
        app.state.unanswered = unanswered.Unanswered(counts, open_vocabulary(generation))
    app.add_middleware(Dialects)
    app.mount(ASSETS, reference_files(), name="reference")
    app.mount("/static", static_files(), name="static")
    return app


def _serve_stdio(generation: Path, settings: Settings) -> int:
    """Speak the Model Context Protocol over stdin and stdout until they are closed."""
    from web.mcp_tools import serve_stdio  # the SDK takes half a second to import, which the HTTP server is spared

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a thread that waits for a line on stdin cannot be woken otherwise
    answerer = Answerer(LocalIndex.open(generation), accepted_wrong=settings.accepted_wrong)
    answerer.ask(WARM_QUESTION)
    serve_stdio(answerer, settings.public_url)
    return 0


def _words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
