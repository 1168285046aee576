"""What several tests share: the real starter index, a real running server, and the user's data where it is at hand."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from index.encoder import EncoderSource
from index.local import LocalIndex
from index.models import open_for_passages
from index.storage import ENCODER, current_generation
from qa.answerer import Answerer
from tests.browsing import Pages, chromium, pages, scripted, visited  # noqa: F401  fixtures for every module
from tests.payloads import Poisoned, write_corpus

PROJECT = Path(__file__).resolve().parent.parent
SHARED = PROJECT.parent / "shared"


def run_command(*arguments: str, cwd: Path = PROJECT, timeout: float = 150) -> subprocess.CompletedProcess[str]:
    """Run ``python ARGUMENTS`` from the project and return what it printed."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False, encoding="utf-8"
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with raw passages and evaluation data, or a skip where there is none."""
    if not SHARED.is_dir():
        pytest.skip("the folder 'shared' with the evaluation data is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def first_question(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A copy of the project without build/, and what the first question asked in it printed: it builds the starter index."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("corpus", "index", "qa"):
        shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy, run_command("-m", "qa", "what is sciatica?", cwd=copy)


@pytest.fixture(scope="session")
def starter_path(first_question: tuple[Path, subprocess.CompletedProcess[str]]) -> Path:
    """An index of the starter corpus, built by the command line with the real model."""
    copy, done = first_question
    assert done.returncode == 0, done.stderr
    return copy / "build" / "starter"


@pytest.fixture(scope="session")
def starter(starter_path: Path) -> LocalIndex:
    """The open starter index."""
    return LocalIndex.open(starter_path)


@pytest.fixture(scope="session")
def answerer(starter: LocalIndex) -> Answerer:
    """An answerer over the starter index."""
    return Answerer(starter)


@pytest.fixture(scope="session")
def real_encoder(starter_path: Path) -> EncoderSource:
    """The real, already exported encoder: a build without torch."""
    exported = current_generation(starter_path) / ENCODER

    def put(folder: Path) -> None:
        shutil.copytree(exported, folder)

    return EncoderSource("exported", put, open_for_passages)


@pytest.fixture(scope="session")
def server_url(starter_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server process with the starter index."""
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with running_server(starter_path, log) as url:
        yield url


@pytest.fixture(scope="session")
def friendly_url(starter_path: Path, pages: Pages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:  # noqa: F811
    """The address of a real server process that lets the other site ask and takes feedback."""
    folder = tmp_path_factory.mktemp("friendly")
    options = ("--allow-origins", pages.origin, "--feedback", str(folder / "feedback.sqlite"))
    with running_server(starter_path, folder / "log.txt", *options) as url:
        yield url


@pytest.fixture(scope="session")
def poisoned(starter_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Poisoned:
    """An index of payloads, built by the command line; it takes the starter's place, so that its encoder is at hand."""
    folder = tmp_path_factory.mktemp("poisoned")
    given = write_corpus(folder / "corpus")
    shutil.copytree(starter_path, folder / "index", symlinks=True)
    done = run_command("-m", "index", "build", str(folder / "corpus"), "--out", str(folder / "index"))
    assert done.returncode == 0, done.stderr
    return Poisoned(folder / "index", given)


@pytest.fixture(scope="session")
def poisoned_url(poisoned: Poisoned, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that answers from payloads."""
    with running_server(poisoned.index, tmp_path_factory.mktemp("server") / "log.txt") as url:
        yield url


@pytest.fixture(scope="session")
def poisoned_answerer(poisoned: Poisoned) -> Answerer:
    """The answerer that the server has."""
    return Answerer(LocalIndex.open(poisoned.index))


class running_server:  # noqa: N801  a context manager that reads as one
    """A server process on a free port, ready when entered and stopped when left."""

    def __init__(self, index: Path, log: Path, *arguments: str) -> None:
        self.log = log
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "server.py", "--index", str(index), "--port", str(port), *arguments]

    def __enter__(self) -> str:
        self._stream = self.log.open("w")
        self.process = subprocess.Popen(self._command, cwd=PROJECT, stdout=self._stream, stderr=subprocess.STDOUT)
        wait_until_ready(self.url, self.process, self.log)
        return self.url

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)
        self._stream.close()


def hear_ctrl_c() -> None:
    """Have a new process hear Ctrl-C, which a shell's background jobs are born deaf to."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once /ready says 200; fail with the server's own words if it stops or takes over 60 seconds."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"the server stopped: {log.read_text()}")
        try:
            if httpx.get(f"{url}/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    pytest.fail(f"the server was not ready in 60 seconds: {log.read_text()}")
