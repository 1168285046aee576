"""The documentation says what the code does: commands, flags, routes and figures are checked against it."""

import re
import shlex
import subprocess

import pytest

from index.fusion import HYBRID
from index.lexical import K1, B
from index.local import CANDIDATES
from index.shards import CHUNK_TOKENS
from qa.answerer import MAX_QUESTION
from qa.policy import ACCEPTED_WRONG, DISCLAIMER
from server import Settings
from tests.conftest import PROJECT, run_command
from web.engine import QUEUE
from web.guard import HISTORY_PATHS, MAX_BODY_BYTES
from web.headers import SECURITY_HEADERS
from web.keys import MIN_LENGTH
from web.metrics import EVENTS, LEVELS
from web.rate import BUCKETS, BURST
from web.rest import router

README = (PROJECT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
RETRIEVAL = (PROJECT / "docs" / "retrieval.md").read_text(encoding="utf-8")
PROTOCOLS = (PROJECT / "docs" / "protocols.md").read_text(encoding="utf-8")
OPERATIONS = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
SAFETY = (PROJECT / "docs" / "safety.md").read_text(encoding="utf-8")


def test_the_readme_is_short_and_names_both_commands() -> None:
    assert len(README.splitlines()) <= 150
    assert "make serve" in README
    assert "make test" in README


@pytest.mark.parametrize("page", sorted(PROJECT.glob("*.md")) + sorted((PROJECT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_links_between_the_documents_hold(page: object) -> None:
    from pathlib import Path

    assert isinstance(page, Path)
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
    for named in re.findall(r"`((?:docs|corpus|index|qa|web|benchmarks|tests)/[\w./]+)`", text):
        assert (PROJECT / named).exists(), f"{page.name} names {named}"


@pytest.mark.parametrize("route", sorted({getattr(route, "path", "") for route in router.routes}))
def test_every_route_is_in_the_readme(route: str) -> None:
    assert route.replace("{passage_id}", "{id}") in README


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        (("-m", "index", "build"), ("--out", "--model", "--json")),
        (("-m", "index", "info"), ("--json",)),
        (("-m", "index", "verify"), ("--source", "--json")),
        (("-m", "qa"), ("--index", "--top-k", "--accepted-wrong", "--history", "--after-alert", "--json")),
        (("server.py",), ("--index", "--host", "--port", "--workers", "--accepted-wrong", "--public-url", "--mcp")),
        (("server.py",), ("--rate", "--log", "--allow-origins", "--proxies", "--feedback", "--unanswered")),
        (("evaluate.py",), ("--retriever", "--split", "--run-out", "--unanswerable", "--triage", "--json")),
    ],
)
def test_every_flag_is_there(command: tuple[str, ...], flags: tuple[str, ...]) -> None:
    shown = run_command(*command, "--help").stdout
    assert all(flag in shown for flag in flags)


def test_settings_are_documented() -> None:
    for name in Settings.model_fields:
        assert f"| `CITEWELL_{name.upper()}` |" in OPERATIONS
        assert (f"| `--{name.replace('_', '-')}` |" in OPERATIONS) == (name != "api_keys")


def test_operations_says_what_the_guard_does() -> None:
    for name, value in SECURITY_HEADERS.items():
        assert f"| `{name}` | `{value}`" in OPERATIONS
    assert f"after a burst of {BURST}." in OPERATIONS
    assert f"{BUCKETS:,} places ({BUCKETS * 8 // 1024} KiB)" in OPERATIONS
    assert f"takes on {QUEUE} questions" in OPERATIONS
    assert f"{MIN_LENGTH} characters or more" in OPERATIONS
    for name in (*(f"citewell_{event}_total" for event in EVENTS), *LEVELS):
        assert f"`{name}`" in OPERATIONS
    assert all(f"`{path}`" in OPERATIONS for path in HISTORY_PATHS)


def test_figures_in_the_documents_are_those_of_the_code() -> None:
    assert f"at most {CHUNK_TOKENS} tokens" in RETRIEVAL
    assert f"{CANDIDATES} candidates" in RETRIEVAL
    assert f"k1 {K1}, b {B}" in RETRIEVAL
    assert f"(default {ACCEPTED_WRONG * 100:g} %)" in RETRIEVAL
    assert f"default {ACCEPTED_WRONG:g}" in README
    weights = f"with weights {HYBRID.chunk:g}, {HYBRID.sentence:g} and {HYBRID.lexical:g}."
    assert weights in " ".join(RETRIEVAL.split())
    assert f"a fourth score of weight {HYBRID.words:g}" in " ".join(RETRIEVAL.split())
    assert f"{MAX_BODY_BYTES // 1024} KiB" in ARCHITECTURE
    assert f"{MAX_QUESTION:,} characters" in README


def test_it_is_said_that_no_clinician_has_reviewed_the_cards() -> None:
    assert "no clinician has reviewed" in " ".join(README.lower().split())
    assert "no clinician has reviewed" in " ".join(SAFETY.lower().split())


def test_every_example_of_the_protocols_runs(server_url: str) -> None:
    """The curl commands of docs/protocols.md, word for word but for the address, give an answer."""
    commands = re.findall(r"```sh\n(curl .*?)```", PROTOCOLS, re.DOTALL)
    assert len(commands) == 4
    for command in commands:
        arguments = shlex.split(command.replace("\\\n", " ").replace("http://127.0.0.1:8000", server_url))
        done = subprocess.run([*arguments, "--silent", "--fail"], capture_output=True, text=True, check=True, timeout=30)
        assert "Sciatica is a symptom of trouble with the sciatic nerve" in done.stdout


def test_the_python_example_of_the_protocols_runs(server_url: str) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PROTOCOLS, re.DOTALL)
    done = run_command("-c", code.replace("http://127.0.0.1:8000", server_url))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("/passages/") == 6
    assert DISCLAIMER.text in done.stdout
