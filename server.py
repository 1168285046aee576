"""citewell's server: reads its settings, puts the parts together, starts.

    python server.py [--index DIR] [--host H] [--port P] [--workers N] [--accepted-wrong RATE] [--public-url URL]
                     [--allow-origins LIST] [--proxies LIST] [--rate N] [--log FORM] [--feedback FILE] [--unanswered FILE]
    python server.py --mcp [--index DIR]

Settings come from the environment, each with the prefix CITEWELL_ (docs/operations.md); an argument wins over it. API keys come
from the environment alone, where other users of the machine do not see them. With --mcp it speaks the Model Context Protocol
over stdin and stdout instead of HTTP.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, get_args

from index.environment import prepare_libraries

if __name__ == "__main__":
    prepare_libraries()  # before anything below is imported

from fastapi import FastAPI
from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

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
from web.guard import GuardSettings
from web.keys import parse_keys
from web.logs import LogFormat, configure_logs, log
from web.metrics import router as metrics
from web.origins import parse_origins
from web.pages import router as pages
from web.pages import static_files
from web.proxies import parse_proxies
from web.reference import router as reference
from web.rest import create_app
from web.store import StoreError
from web.widget import router as widget
from web.workers import listen, serve

MAX_WORKERS = 64
MAX_RATE = 1_000_000
OPEN_TO_ALL = "anyone who reaches %s may ask without limit: set CITEWELL_RATE to so many requests a minute for each address"


class Settings(BaseSettings):
    """The server's settings, read once from the environment with the prefix CITEWELL_."""

    model_config = SettingsConfigDict(env_prefix="CITEWELL_", extra="ignore", validate_default=False)

    index: Path | None = None
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    workers: int = Field(1, ge=1, le=MAX_WORKERS)
    accepted_wrong: float = Field(ACCEPTED_WRONG, gt=0, lt=1)
    feedback: Path | None = None
    unanswered: Path | None = None
    allow_origins: Annotated[frozenset[str], NoDecode, BeforeValidator(parse_origins)] = frozenset()
    proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(parse_proxies)] = ()
    api_keys: Annotated[tuple[bytes, ...], NoDecode, BeforeValidator(parse_keys)] = Field((), repr=False)
    rate: float = Field(0, ge=0, le=MAX_RATE)
    log: LogFormat = "text"
    public_url: str = ""

    @field_validator("public_url")
    @classmethod
    def _absolute(cls, value: str) -> str:
        return checked_public_url(value) if value else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped and return the exit code: 0 stopped, 1 could not start or could not load the index."""
    configure_logs("text")
    try:
        settings = read_settings(arguments)
        configure_logs(settings.log)
        index = settings.index or ensure_starter_index()
        # A worker that is replaced opens what the others have open, whatever has been built since.
        generation, _ = trusted_generation(index)
        if _parser().parse_args(arguments).mcp:
            return _serve_stdio(generation, settings)
        app = application(generation, settings)
        listener = listen(settings.host, settings.port)
    except (StorageError, StoreError, VocabularyError, ValidationError, OSError) as error:
        log.error("%s", _words(error))
        return 1
    host, port = listener.getsockname()[:2]
    log.info("citewell serves %s at http://%s:%d/ (API: /docs, stop: Ctrl-C)", index, host, port)
    if not settings.rate and not ip_address(host.partition("%")[0]).is_loopback:
        log.warning(OPEN_TO_ALL, host)
    triage(WARM_QUESTION)  # reads the rules into 35 MB, which workers share where that is done before they are forked
    return serve(app, listener, workers=settings.workers, proxies=settings.proxies)


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
    parser.add_argument("--allow-origins", metavar="LIST", help="origins whose pages may ask, with commas; default: none")
    parser.add_argument("--proxies", metavar="LIST", help="proxies whose X-Forwarded-For is believed; default: none")
    parser.add_argument("--rate", metavar="N", help="requests a minute for each client address, default: 0, any number")
    parser.add_argument("--log", choices=get_args(LogFormat), help="form of the log, default: text")
    return parser


def application(generation: Path, settings: Settings) -> FastAPI:
    """Return the whole application over one generation, for one of the workers that share the cores."""
    threads = max(1, cores() // settings.workers)
    engine = Engine(lambda: Answerer(LocalIndex.open(generation), accepted_wrong=settings.accepted_wrong), threads=threads)
    routers = (
        metrics,
        pages,
        reference,
        widget,
        openai.router,
        deep_chat.router,
        mcp.router,
        feedback.router,
        unanswered.router,
    )
    guard = GuardSettings(settings.allow_origins, settings.api_keys, settings.rate)
    app = create_app(engine, *routers, guard=guard, workers=settings.workers)
    app.state.public_url = settings.public_url
    app.state.allow_origins = settings.allow_origins
    app.state.feedback = settings.feedback is not None
    if settings.feedback:
        app.state.votes = feedback.Feedback(feedback.open_votes(settings.feedback))
    if settings.unanswered:
        counts = unanswered.open_counts(settings.unanswered)
        app.state.unanswered = unanswered.Unanswered(counts, open_vocabulary(generation))
    app.add_middleware(Dialects)
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
