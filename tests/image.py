"""The image without an engine: what deploy/Dockerfile says is done by hand, and what it starts runs in a sandbox.

The environment that pip would install is linked from the one the tests run in, and the index is the tests' own; every other
command is run and every file copied as the Dockerfile says. The sandbox is a root file system mounted read-only, a process
number 1, another user, and no capability. It needs root and Linux.
"""

import fnmatch
import importlib.metadata
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from tests.conftest import PROJECT

DOCKERFILE = PROJECT / "deploy" / "Dockerfile"
REQUIREMENTS = PROJECT / "deploy" / "requirements.txt"
# What an interpreter needs of the system it came with; a link stays a link.
SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/dev", sys.base_prefix)
MOUNTS = """
set -e
mount --make-rprivate /
mount --bind "$IMAGE" "$IMAGE"
for folder in $SYSTEM; do mount --bind --make-private "$folder" "$IMAGE$folder"; mount -o remount,bind,ro "$IMAGE$folder"; done
mount -t proc proc "$IMAGE/proc"
mount -t tmpfs -o mode=1777,size=16m tmpfs "$IMAGE/tmp"
mount --bind "$DATA" "$IMAGE/data"
mount -o remount,bind,ro "$IMAGE"
exec chroot "$IMAGE" /usr/bin/env -i "$@"
"""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile, its lines joined, and the number of the stage it stands in."""

    name: str
    rest: str
    stage: int


def instructions() -> list[Instruction]:
    """Return what the Dockerfile says."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: list[Instruction] = []
    stage = -1
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip():
            name, rest = line.split(maxsplit=1)
            stage += name == "FROM"
            found.append(Instruction(name, " ".join(rest.split()) if name == "RUN" else rest, stage))
    return found


def value_of(name: str) -> str:
    """Return what the last instruction of this name says."""
    return [each.rest for each in instructions() if each.name == name][-1]


def environment() -> dict[str, str]:
    """Return the variables that the final stage sets."""
    return dict(
        pair.split("=", 1) for each in instructions() if each.name == "ENV" and each.stage == 1 for pair in each.rest.split()
    )


def requirements() -> list[str]:
    """Return the names of what serving needs."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def plain(name: str) -> str:
    """Return a distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(names: Iterable[str]) -> set[str]:
    """Return the names and all that they need in turn, as pip would install them."""
    found: set[str] = set()
    left = [Requirement(name) for name in names]
    while left:
        wanted = left.pop()
        for extra in ("", *wanted.extras):
            key = f"{plain(wanted.name)}[{extra}]"
            if key not in found:
                found.add(key)
                needed = map(Requirement, importlib.metadata.requires(wanted.name) or ())
                left += [each for each in needed if each.marker is None or each.marker.evaluate({"extra": extra})]
    return {key.partition("[")[0] for key in found}


def ignored(path: str) -> bool:
    """Tell whether .dockerignore keeps a file out of what is built from; the last pattern that fits decides."""
    out = False
    for line in (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!")
        parts = path.split("/")
        above = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        bare = pattern.removeprefix("**/")
        names = parts if bare != pattern else above
        if line and not line.startswith("#") and any(fnmatch.fnmatchcase(name, bare) for name in names):
            out = not line.startswith("!")
    return out


class Stages:
    """Both stages' file systems below a folder, as far as the Dockerfile fills them."""

    def __init__(self, folder: Path, index: Path) -> None:
        self.build, self.image = folder / "build", folder / "image"
        self._index = index
        for root in (self.build, self.image):
            root.mkdir()

    def make(self) -> None:
        """Do what the Dockerfile says."""
        here = ""
        for each in instructions():
            root = (self.build, self.image)[max(0, each.stage)]
            if each.name == "WORKDIR":
                here = each.rest
                (root / here.lstrip("/")).mkdir(parents=True)
            elif each.name == "COPY":
                self._copy(each, root / here.lstrip("/"), root)
            elif each.name == "RUN":
                for command in each.rest.split(" && "):
                    self._run(command, root / here.lstrip("/"))

    def _copy(self, instruction: Instruction, here: Path, root: Path) -> None:
        words = shlex.split(instruction.rest)
        flags = [word for word in words if word.startswith("--")]
        *sources, target = [word for word in words if not word.startswith("--")]
        for source in sources:
            origin = self.build / source.lstrip("/") if "--from=build" in flags else PROJECT / source
            goal = root / target.lstrip("/") if target.startswith("/") else here / target
            if not origin.is_dir() and target.endswith("/"):
                goal = goal / origin.name
            goal.parent.mkdir(parents=True, exist_ok=True)
            if not origin.is_dir():
                assert "--from=build" in flags or not ignored(source), f"{source} does not reach the build"
                shutil.copy2(origin, goal)
            else:
                shutil.copytree(origin, goal, symlinks=True, ignore=None if "--from=build" in flags else _left_out)
            if owner := next((flag.partition("=")[2] for flag in flags if flag.startswith("--chown=")), ""):
                os.chown(goal, *map(int, owner.split(":")))

    def _run(self, command: str, here: Path) -> None:
        if "pip" in command.split() or command.split()[0].endswith("/pip") or ("/opt/build" in command and "venv" in command):
            return  # nothing is installed: the environments are there
        if command.startswith("python -c"):
            return  # the names pip would have been given
        if "-m venv" in command:
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.build / "opt/citewell"], check=True)
            link_distributions(closure(requirements()), self.build / "opt/citewell")
        elif "-m index build" in command:
            shutil.copytree(self._index, here / command.split()[-1])
        else:
            words = [str(self.build) + word if re.match(r"/(opt|src|data)\b", word) else word for word in shlex.split(command)]
            subprocess.run(words, cwd=here, check=True, capture_output=True, env={"PATH": os.environ["PATH"]})


def _left_out(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if ignored((Path(folder) / name).relative_to(PROJECT).as_posix())]


def link_distributions(names: Iterable[str], environment: Path) -> None:
    """Put the installed files of these distributions, and of no others, into an environment, as links where that can be."""
    packages = next(environment.glob("lib/python*/site-packages"))
    for name in names:
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files or ():
            source = Path(str(distribution.locate_file(file)))
            if ".." in file.parts or not source.is_file():
                continue
            target = packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                continue
            try:
                target.hardlink_to(source)
            except OSError:
                shutil.copy2(source, target)


def sandboxed(image: Path, data: Path, variables: Mapping[str, str]) -> list[str]:
    """Return the command that starts what the image starts, in the sandbox, as the user the Dockerfile names."""
    user, group = value_of("USER").split(":")
    settings = [f"{name}={value}" for name, value in {**environment(), **variables}.items()]
    rights = ["--reuid", user, "--regid", group, "--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    start = [f"--chdir={workdir()}", *settings, "/usr/bin/setpriv", *rights, *entrypoint()]
    outer = [f"IMAGE={image}", f"DATA={data}", f"SYSTEM={' '.join(mounted(image))}"]
    return ["env", *outer, "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", MOUNTS, "sh", *start]


def mounted(image: Path) -> Iterator[str]:
    """Yield the folders of the system to mount into the image, having made the places for all that is mounted there."""
    for name in ("/proc", "/tmp"):
        (image / name.lstrip("/")).mkdir(exist_ok=True)
    for name in SYSTEM:
        place = image / name.lstrip("/")
        if Path(name).is_symlink():
            place.unlink(missing_ok=True)
            place.symlink_to(Path(name).readlink())
        elif Path(name).is_dir():
            place.mkdir(parents=True, exist_ok=True)
            yield name


def workdir() -> str:
    """Return where the image starts."""
    return value_of("WORKDIR")


def entrypoint() -> list[str]:
    """Return what the image starts."""
    return [str(word) for word in exec_form(value_of("ENTRYPOINT"))]


def exec_form(text: str) -> list[str]:
    """Return the words of an instruction in exec form."""
    words = json.loads(text)
    assert all(isinstance(word, str) for word in words)
    return list(words)
