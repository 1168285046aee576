"""Feedback over the real server: kept once, bounded, for its owner's eyes, and nowhere unless the operator has named a file."""

import concurrent.futures
import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.conftest import PROJECT, run_command, running_server
from tests.test_server import QUESTION, check_problem
from web.engine import Engine
from web.feedback import FULL, OFF, TAGS, UNWRITTEN, Feedback, Vote, main, open_votes, report, router, votes_in
from web.guard import GuardSettings, install_guard
from web.problem import install_errors
from web.store import Store, StoreError

ANSWER, OTHER, PASSAGE = "0123456789abcdef", "fedcba9876543210", "c6abea8871dba155"
DAY = "2026-07-01"
# The test client's responses are of another library than check_problem names, and of the same shape.
check: Callable[[Any, int, str], None] = check_problem


def application(store: Store) -> FastAPI:
    """Return an application that only takes feedback."""
    app = FastAPI()
    install_errors(app)
    app.include_router(router)
    install_guard(app, Engine(lambda: pytest.fail("never loaded")), GuardSettings())
    app.state.votes = Feedback(store)
    return app


def vote(answer: str = ANSWER, **fields: Any) -> dict[str, Any]:
    return {"answer_id": answer, "thumbs": 1, **fields}


def test_feedback_is_off_unless_a_file_is_named(server_url: str) -> None:
    check_problem(httpx.post(f"{server_url}/v1/feedback", json=vote()), 404, OFF)
    check_problem(httpx.post(f"{server_url}/v1/feedback", json={"thumbs": 7}), 404, OFF)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_votes_are_kept_and_a_second_one_replaces_the_first(starter_path: Path, tmp_path: Path, workers: str) -> None:
    file = tmp_path / "feedback.sqlite"
    with running_server(starter_path, tmp_path / "log.txt", "--workers", workers, "--feedback", str(file)) as url:
        answer = httpx.post(f"{url}/v1/ask", json={"question": QUESTION}, timeout=30).json()
        quoted = answer["quotes"][0]["citation"]["passage_id"]
        for body in (
            vote(answer["id"], thumbs=0, tags=["incomplete"], notes="first thought"),
            vote(answer["id"], tags=["helpful", "easy_to_read", "helpful"], notes="second\x1b[31m thought: œdème"),
            vote(answer["id"], passage_id=quoted, thumbs=0, tags=["outdated"]),
        ):
            given = httpx.post(f"{url}/v1/feedback", json=body)
            assert (given.status_code, given.content) == (204, b"")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            many = list(pool.map(lambda n: httpx.post(f"{url}/v1/feedback", json=vote(f"{n:016x}"), timeout=30), range(40)))
        assert [each.status_code for each in many] == [204] * 40
        for path in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        kept = {(each.answer_id, each.passage_id): each for each in votes_in(file)}
        assert len(kept) == 42
    today = datetime.now(UTC).date().isoformat()
    second = kept[(answer["id"], "")]
    assert (second.thumbs, second.tags, second.notes) == (1, ("helpful", "easy_to_read"), "second\x1b[31m thought: œdème")
    assert second.day <= today
    assert kept[(answer["id"], quoted)].tags == ("outdated",)
    assert not Path(f"{file}-wal").exists(), "a server that stops leaves one file"
    assert b"first thought" not in file.read_bytes()
    assert QUESTION.encode() not in file.read_bytes()
    printed = run_command("-m", "web.feedback", str(file)).stdout
    assert "42 votes: 41 up, 1 down" in printed
    assert f"{quoted:<18}     0     1" in printed
    assert "second [31m thought: œdème" in printed
    assert "\x1b" not in printed
    as_json = json.loads(run_command("-m", "web.feedback", str(file), "--json").stdout)
    assert len(as_json) == 42
    assert set(as_json[0]) == {"answer_id", "passage_id", "thumbs", "tags", "notes", "day"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"thumbs": 1}, "answer_id: Field required"),
        (vote("0123456789ABCDEF"), "answer_id"),
        (vote("0123456789abcde"), "answer_id"),
        (vote(ANSWER + "\n"), "answer_id"),
        (vote(passage_id=""), "passage_id"),
        (vote(passage_id="../../etc/passwd"), "passage_id"),
        ({"answer_id": ANSWER}, "thumbs: Field required"),
        (vote(thumbs=2), "thumbs"),
        (vote(thumbs=-1), "thumbs"),
        (vote(thumbs=True), "thumbs"),
        (vote(thumbs=1.0), "thumbs"),
        (vote(thumbs="1"), "thumbs"),
        (vote(tags=["invented"]), "tags.0"),
        (vote(tags="helpful"), "tags"),
        (vote(tags=["helpful"] * 9), "tags"),
        (vote(notes="x" * 1001), "at most 1000 characters"),
        (vote(notes=None), "notes"),
        ([], "dictionary or object"),
    ],
)
def test_what_is_no_vote_is_refused(tmp_path: Path, body: object, words: str) -> None:
    store = open_votes(tmp_path / "feedback.sqlite")
    with TestClient(application(store)) as client:
        check(client.post("/v1/feedback", json=body), 422, words)
    assert votes_in(store.path) == []


def test_a_note_has_up_to_1000_code_points_and_other_fields_are_not_kept(tmp_path: Path) -> None:
    store = open_votes(tmp_path / "feedback.sqlite")
    with TestClient(application(store), client=("203.0.113.9", 1)) as client:
        body = vote(notes="𝕏" * 1000, question="does my hip smell of canary?", address="203.0.113.9")
        assert client.post("/v1/feedback", json=body, headers={"user-agent": "canary"}).status_code == 204
        too_large = vote(notes="x" * 20_000)
        check(client.post("/v1/feedback", json=too_large), 413, "16,384 bytes")
    assert votes_in(store.path)[0].notes == "𝕏" * 1000
    written = store.path.read_bytes()
    assert b"canary" not in written
    assert b"203.0.113.9" not in written


def test_a_full_file_is_said_to_be_full_and_a_vote_can_still_be_changed(tmp_path: Path) -> None:
    file = tmp_path / "feedback.sqlite"
    open_votes(file).close()
    small = Store(file, "", max_bytes=64 * 1024)
    with TestClient(application(small)) as client:
        given = [client.post("/v1/feedback", json=vote(f"{n:016x}", notes="x" * 1000)) for n in range(80)]
        kept = [each.status_code for each in given].index(507)
        assert 8 < kept < 64
        check(given[kept], 507, FULL)
        assert client.post("/v1/feedback", json=vote(f"{0:016x}", thumbs=0)).status_code == 204
    found = votes_in(file)
    assert len(found) >= kept
    assert found[0].thumbs == 0
    assert file.stat().st_size <= 64 * 1024


def test_a_file_that_goes_away_is_not_made_again_and_one_that_comes_back_is_used(tmp_path: Path) -> None:
    file, aside = tmp_path / "feedback.sqlite", tmp_path / "aside.sqlite"
    store = open_votes(file)
    file.rename(aside)
    with TestClient(application(store)) as client:
        check(client.post("/v1/feedback", json=vote()), 503, UNWRITTEN)
        assert not file.exists()
        aside.rename(file)
        assert client.post("/v1/feedback", json=vote()).status_code == 204
    assert len(votes_in(file)) == 1


def test_another_writer_is_waited_for_and_then_no_longer(tmp_path: Path) -> None:
    store = open_votes(tmp_path / "feedback.sqlite")
    with TestClient(application(store)) as client, closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = client.post("/v1/feedback", json=vote())
        check(refused, 503, UNWRITTEN)
        assert refused.headers["retry-after"] == "1"
        other.execute("COMMIT")
        assert client.post("/v1/feedback", json=vote()).status_code == 204


@pytest.mark.parametrize("name", ["missing/feedback.sqlite", "folder", "other.txt"])
def test_a_server_does_not_start_with_a_file_it_cannot_write(starter_path: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "other.txt").write_text("not a database, but long enough to be read as one" * 40)
    file = tmp_path / name
    for option in ("--feedback", "--unanswered"):
        done = run_command("server.py", "--index", str(starter_path), "--port", "0", option, str(file))
        assert done.returncode == 1
        assert f"error: {file} cannot be written as a SQLite file: " in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "missing").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run the server as somebody else")
def test_a_folder_without_leave_to_write_is_found_out_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "feedback.sqlite"
    open_votes(file).close()
    file.chmod(0o666)
    code = (
        "import os, pathlib, sys; from web.feedback import open_votes; from web.store import StoreError\n"
        f"os.chdir({str(tmp_path)!r}); os.setuid(65532)\n"
        "try: open_votes(pathlib.Path('feedback.sqlite'))\n"
        "except StoreError as error: print('REFUSED', error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("REFUSED"), done.stderr


def test_reports_say_what_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.sqlite")]) == 1
    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "none.sqlite").exists()
    (tmp_path / "text").write_text("no database " * 100)
    with pytest.raises(StoreError, match="cannot be read"):
        votes_in(tmp_path / "text")


def test_the_report_counts_by_passage_worst_first_and_by_tag() -> None:
    votes = [
        Vote(ANSWER, PASSAGE, 0, ("wrong", "unsafe"), "line\none", DAY),
        Vote(OTHER, PASSAGE, 1, (), "", DAY),
        Vote(OTHER, "", 1, ("helpful",), "", DAY),
        Vote(ANSWER, "", 0, ("wrong",), "", DAY),
        Vote(ANSWER, "0" * 16, 1, (), "", DAY),
    ]
    assert report(votes).splitlines() == [
        "5 votes: 3 up, 2 down",
        "",
        "passage               up  down",
        "(whole answer)         1     1",
        f"{PASSAGE}       1     1",
        "0000000000000000       1     0",
        "",
        "tag                votes",
        "helpful                1",
        "wrong                  2",
        "unsafe                 1",
        "",
        "notes",
        f"{DAY} {PASSAGE} down: line one",
    ]
    assert report([]) == "0 votes: 0 up, 0 down"
    assert len(TAGS) == 8
