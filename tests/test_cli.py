"""The command lines as processes: what they print, how they end, and that bad input loses nothing."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from index.local import LocalIndex
from index.storage import current_generation
from index.verify import verify_index
from index.wording import Wording
from qa.answerer import Answerer
from tests.conftest import PROJECT, hear_ctrl_c, run_command

QUESTION = "why are office workers' hip flexors so tight?"


@pytest.fixture
def index(starter_path: Path, tmp_path: Path) -> Path:
    """A copy of the starter index that a test may change; a build over it needs no torch."""
    shutil.copytree(starter_path, tmp_path / "index")
    return tmp_path / "index"


def test_ask_prints_quotes_citations_and_disclaimer(starter_path: Path) -> None:
    done = run_command("-m", "qa", QUESTION, "--index", str(starter_path), "--top-k", "2")
    assert done.returncode == 0, done.stderr
    assert "[1] " in done.stdout
    assert "[2] " in done.stdout
    assert "[3] " not in done.stdout
    assert "cited from:" in done.stdout
    assert done.stdout.rstrip().endswith("(for example 112, 911 or 999).")


def test_ask_json_is_the_answer(starter_path: Path, answerer: Answerer) -> None:
    done = run_command("-m", "qa", QUESTION, "--index", str(starter_path), "--json")
    assert done.returncode == 0, done.stderr
    expected = json.loads(json.dumps(answerer.ask(QUESTION).record()))
    found = json.loads(done.stdout)
    for record in (expected, found):
        del record["id"], record["took_ms"]
    assert found == expected


def test_ask_takes_earlier_questions_and_the_accepted_rate(starter_path: Path, starter: LocalIndex) -> None:
    question, history = "what are its symptoms?", ["what is sciatica?", "what is paget's disease of bone?"]
    earlier = [part for text in history for part in ("--history", text)]
    options = [question, "--index", str(starter_path), "--json", *earlier, "--accepted-wrong", "0.4"]
    found = json.loads(run_command("-m", "qa", *options).stdout)
    expected = json.loads(json.dumps(Answerer(starter, accepted_wrong=0.4).ask(question, history).record()))
    for record in (expected, found):
        del record["id"], record["took_ms"]
    assert found == expected
    assert found["searched_as"].startswith("paget's disease bone: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["", "--index", "{index}"], "The question is empty"),
        (["x" * 3000, "--index", "{index}"], "3,000 characters"),
        (["hip", "--index", "{index}", "--top-k", "0"], "1 to 20"),
        (["hip", "--index", "{index}", "--accepted-wrong", "1"], "is 1.0; it must lie above 0 and below 1"),
        (["hip", "--index", "nowhere/at/all"], "there is no index at nowhere"),
    ],
)
def test_ask_says_what_is_wrong(starter_path: Path, arguments: list[str], words: str) -> None:
    done = run_command("-m", "qa", *(argument.format(index=starter_path) for argument in arguments))
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_build_reports_what_it_left_out(index: Path, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "good.txt").write_text(
        "A walk a day keeps most hips moving well.\nA walk a day keeps most hips moving well.\n×\n"
    )
    (sources / "empty.txt").write_text("")
    (sources / "binary.txt").write_bytes(b"PK\x03\x04\x00\x00binary")
    (sources / "bad.jsonl").write_text('{"_id": "1", "text": "Gentle swimming suits most sore hips."}\n{"_id": 2, "text"\n')
    done = run_command("-m", "index", "build", str(sources), "--out", str(index), "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["passages"] == 2
    assert report["generation"] == current_generation(index).name
    assert sorted(item["reason"] for item in report["rejected"]) == ["duplicate", "fragment"]
    assert set(report["rejected"][0]) == {"source", "start", "end", "reason", "text"}
    assert {item["source"] for item in report["unreadable"]} == {"empty.txt", "binary.txt", "bad.jsonl"}
    for name in ("empty.txt", "binary.txt", "bad.jsonl"):
        assert name in done.stderr
    assert verify_index(index) == []
    (hit,) = LocalIndex.open(index).search(Wording.as_typed("swimming"), 1).hits
    assert hit.chunk.text.startswith("Gentle swimming")


@pytest.mark.parametrize("content", [None, b"", b"\x00\x01"])
def test_a_build_of_nothing_keeps_the_old_index(index: Path, tmp_path: Path, content: bytes | None) -> None:
    before = current_generation(index)
    source = tmp_path / "source.txt"
    if content is not None:
        source.write_bytes(content)
    done = run_command("-m", "index", "build", str(source), "--out", str(index))
    assert done.returncode == 1
    assert "source.txt" in done.stderr
    assert "Traceback" not in done.stderr
    assert current_generation(index) == before


def test_an_unknown_model_is_said_before_anything_is_written(index: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Gentle swimming suits most sore hips.")
    (tmp_path / "model").mkdir()
    before = current_generation(index)
    done = run_command("-m", "index", "build", str(tmp_path / "a.txt"), "--out", str(index), "--model", str(tmp_path / "model"))
    assert done.returncode == 1
    assert "holds no weights" in done.stderr
    assert current_generation(index) == before


def test_ctrl_c_during_a_build_leaves_the_old_index_serving(index: Path, tmp_path: Path) -> None:
    before = current_generation(index)
    lines = (f"Passage {i} says that a walk of {i} minutes can ease a stiff back and a sore hip. " * 6 for i in range(3000))
    (tmp_path / "big.txt").write_text("\n".join(lines))
    command = [sys.executable, "-m", "index", "build", str(tmp_path / "big.txt"), "--out", str(index)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=PROJECT, preexec_fn=hear_ctrl_c, **pipes)
    deadline = time.monotonic() + 60
    while not list((index / "generations").glob(".building/shards/*.npz")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the index is as it was before" in errors
    assert "Traceback" not in errors
    assert current_generation(index) == before
    assert sorted(folder.name for folder in (index / "generations").iterdir()) == [".building", before.name]
    assert Answerer(LocalIndex.open(index)).ask(QUESTION).status == "answered"


def test_info_says_what_the_index_is(starter_path: Path) -> None:
    done = run_command("-m", "index", "info", str(starter_path))
    assert done.returncode == 0
    assert "sentence-transformers/all-MiniLM-L6-v2" in done.stdout
    assert "served by   onnxruntime" in done.stdout
    record = json.loads(run_command("-m", "index", "info", str(starter_path), "--json").stdout)
    assert record["generation"] == current_generation(starter_path).name
    assert record["counts"]["passages"] >= 150


def test_verify_ends_0_when_all_holds_and_1_when_not(index: Path) -> None:
    assert run_command("-m", "index", "verify", str(index)).returncode == 0
    passages = current_generation(index) / "passages.jsonl"
    passages.write_bytes(passages.read_bytes().replace(b"hip", b"lip", 1))
    done = run_command("-m", "index", "verify", str(index))
    assert done.returncode == 1
    assert "passages.jsonl has been changed" in done.stdout
    asked = run_command("-m", "qa", QUESTION, "--index", str(index))
    assert asked.returncode == 1
    assert "passages.jsonl has been changed" in asked.stderr
    assert run_command("-m", "index", "verify", str(index / "nowhere")).returncode == 1


def test_rollback_brings_the_one_before_back(index: Path, tmp_path: Path) -> None:
    first = current_generation(index).name
    (tmp_path / "a.txt").write_text("Gentle swimming suits most sore hips.")
    assert run_command("-m", "index", "build", str(tmp_path / "a.txt"), "--out", str(index)).returncode == 0
    assert current_generation(index).name != first
    done = run_command("-m", "index", "rollback", str(index), "--json")
    assert json.loads(done.stdout) == {"generation": first}
    assert current_generation(index).name == first


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--index", "nowhere/at/all", "--port", "0"], "there is no index at nowhere"),
        (["--index", "{index}", "--port", "99999"], "port: Input should be less than or equal to 65535"),
        (["--index", "{index}", "--port", "eighty"], "port: Input should be a valid integer"),
        (["--index", "{index}", "--accepted-wrong", "0"], "accepted_wrong: Input should be greater than 0"),
        (["--index", "{index}", "--host", "no.such.host.invalid", "--port", "0"], "cannot listen on no.such.host.invalid"),
    ],
)
def test_a_server_that_cannot_start_says_why(starter_path: Path, arguments: list[str], words: str) -> None:
    done = run_command("server.py", *(argument.format(index=starter_path) for argument in arguments))
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_said(starter_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_command("server.py", "--index", str(starter_path), "--port", str(port))
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use; choose another with --port" in done.stderr


def test_a_question_with_bytes_that_are_no_text_is_refused(starter_path: Path) -> None:
    command = [sys.executable.encode(), b"-m", b"qa", b"hip \xff\xfe pain", b"--index", str(starter_path).encode()]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"lone surrogates" in done.stderr


def test_the_starter_index_is_built_where_there_is_none(
    first_question: tuple[Path, subprocess.CompletedProcess[str]], starter_path: Path
) -> None:
    """In a copy of the project without build/ the first question builds, the second finds the index there."""
    copy, first = first_question
    assert "building the starter index" in first.stderr
    assert first.stdout.startswith("[1] ")
    assert verify_index(starter_path) == []
    second = run_command("-m", "qa", "what is sciatica?", "--json", cwd=copy)
    assert second.returncode == 0
    assert second.stderr == ""
    assert json.loads(second.stdout)["status"] == "answered"
