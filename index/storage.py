"""Generations on disk: written aside, synced, checked, published by one atomic pointer swap, rolled back.

    DIR/current.json                  {"current": NAME, "previous": NAME or null}
    DIR/generations/NAME/manifest.json
    DIR/generations/NAME/...          the files the manifest lists with size and SHA-256

A generation folder is self-contained and may be copied and opened by itself. This module knows files and digests; what
is in them is local.py's business.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

FORMAT = 4
MANIFEST = "manifest.json"
POINTER = "current.json"
GENERATIONS = "generations"
# Where a build works; what an interrupted one finished is found there by the next.
BUILDING = ".building"
IDENTITY = "identity"
SHARDS = "shards"
GENERATION = "generation"
# Folders of a generation, beside the files that passages.py, dense.py, sentence_vectors.py and vocabulary.py name.
ENCODER = "encoder"
LEXICAL = "lexical"
CALIBRATION = "calibration.json"
# Larger files are checked by size when an index is opened, and by digest only by `python -m index verify`: 64 MB take 0.1 s.
CHECKED_AT_OPEN = 64 * 1024 * 1024


class StorageError(Exception):
    """An index is missing, damaged or of another format; the message says what was found and what to do."""


@dataclass(frozen=True, slots=True)
class FileFact:
    """A file's size in bytes and its SHA-256 in hexadecimal."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a generation is and was built from; ``files`` maps each other file's path in the folder to its facts."""

    format: int
    generation: str
    created: str
    encoder: dict[str, Any]
    query_precision: str
    passage_precision: str
    chunking: dict[str, int]
    lexical: dict[str, Any]
    dense: dict[str, Any]
    counts: dict[str, Any]
    corpus_digest: str
    files: dict[str, FileFact]

    def record(self) -> dict[str, Any]:
        """Return the manifest as JSON-ready built-in values."""
        return asdict(self)


def read_manifest(folder: Path) -> Manifest:
    """Read a generation's manifest, or raise StorageError where there is none or this code does not know its format."""
    path = folder / MANIFEST
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts.get("format") != FORMAT:
            raise StorageError(
                f"{folder} has index format {facts.get('format')!r}, this code reads format {FORMAT}; build it again"
            )
        facts["files"] = {name: FileFact(**fact) for name, fact in facts["files"].items()}
        return Manifest(**facts)
    except FileNotFoundError as error:
        raise StorageError(f"{folder} holds no {MANIFEST}: it is not an index generation") from error
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise StorageError(f"{path} cannot be read as a manifest ({error}); build the index again") from error


def current_generation(index: Path) -> Path:
    """Return the folder of the live generation of an index, or the folder itself where it is a generation."""
    if (index / MANIFEST).is_file():
        return index
    if not (index / POINTER).is_file():
        raise StorageError(f"there is no index at {index}; build one with: python -m index build SOURCE... --out {index}")
    folder = index / GENERATIONS / str(_read_pointer(index)["current"])
    if not folder.is_dir():
        raise StorageError(f"{index / POINTER} points at {folder.name}, which is not there; roll back or build again")
    return folder


def _read_pointer(index: Path) -> dict[str, str | None]:
    try:
        pointer = json.loads((index / POINTER).read_text(encoding="utf-8"))
        return {"current": str(pointer["current"]), "previous": pointer.get("previous")}
    except FileNotFoundError:
        return {"current": None, "previous": None}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StorageError(f"{index / POINTER} cannot be read ({error}); build the index again") from error


@contextmanager
def workshop(index: Path, identity: str) -> Iterator[Path]:
    """Lend the folder in which a generation is made, with the folders SHARDS and GENERATION in it.

    What an interrupted build with the same ``identity`` (of encoder and settings) left there is kept: its shards, and its
    encoder; anything else is removed. It is removed too when the build is done, and kept when it fails or is stopped.
    One build at a time: a second one on the same index raises StorageError at once.
    """
    index.mkdir(parents=True, exist_ok=True)
    with _writing(index):
        folder = index / GENERATIONS / BUILDING
        if not (folder / IDENTITY).is_file() or (folder / IDENTITY).read_text(encoding="utf-8") != identity:
            _clear(index / GENERATIONS, lambda path: not path.name.startswith("."))
            (folder / SHARDS).mkdir(parents=True)
            (folder / IDENTITY).write_text(identity, encoding="utf-8")
        (folder / GENERATION).mkdir(exist_ok=True)
        _clear(folder / GENERATION, lambda path: path.name == ENCODER)
        _clear(folder / SHARDS, lambda path: not path.name.startswith("."))
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


def _clear(folder: Path, keep: Callable[[Path], bool]) -> None:
    """Remove everything in a folder but what is to be kept."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if keep(path):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def _writing(index: Path) -> Iterator[None]:
    try:
        with FileLock(index / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise StorageError(f"another build is writing to {index}; wait for it to end") from error


def publish(index: Path, *, folder: Path, manifest: Manifest) -> Path:
    """Sync a finished folder, give it its name, point the index at it, and drop all but it and the one before."""
    (folder / MANIFEST).write_text(json.dumps(manifest.record(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    sync_all(folder)
    target = index / GENERATIONS / manifest.generation
    folder.rename(target)
    _sync(target.parent)
    previous = _read_pointer_or_none(index)
    _swap_pointer(index, current=manifest.generation, previous=previous)
    for old in (index / GENERATIONS).iterdir():
        if old.name not in (manifest.generation, previous, BUILDING):
            shutil.rmtree(old, ignore_errors=True)
    return target


def rollback(index: Path) -> str:
    """Point the index at the generation before the live one and return its name; the two change places."""
    if not (index / POINTER).is_file():
        raise StorageError(f"there is no index at {index}")
    with _writing(index):
        pointer = _read_pointer(index)
        previous = pointer["previous"]
        if previous is None or not (index / GENERATIONS / previous).is_dir():
            raise StorageError(f"{index} keeps no earlier generation to roll back to")
        _swap_pointer(index, current=previous, previous=pointer["current"])
        return previous


def _read_pointer_or_none(index: Path) -> str | None:
    try:
        return _read_pointer(index)["current"]
    except StorageError:  # a damaged pointer is replaced by a sound one
        return None


def _swap_pointer(index: Path, *, current: str, previous: str | None) -> None:
    temporary = index / f".{POINTER}-{secrets.token_hex(4)}"
    temporary.write_text(json.dumps({"current": current, "previous": previous}) + "\n", encoding="utf-8")
    _sync(temporary)
    temporary.replace(index / POINTER)
    _sync(index)


def sync_all(folder: Path) -> None:
    """Have a folder and everything in it written to the disk."""
    for path in (*folder.rglob("*"), folder):
        _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_facts(folder: Path) -> dict[str, FileFact]:
    """Return size and SHA-256 of every file in a generation folder but the manifest."""
    return {
        path.relative_to(folder).as_posix(): FileFact(path.stat().st_size, _sha256(path))
        for path in _walk(folder)
        if path.name != MANIFEST
    }


def _walk(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_opening(folder: Path, manifest: Manifest, unread: Iterable[str]) -> None:
    """Raise StorageError unless every file a server reads is as the manifest says; ``unread`` ones by size alone."""
    skipped = frozenset(unread)
    for name, fact in manifest.files.items():
        problem = _problem(folder / name, fact, digest=name not in skipped and fact.bytes <= CHECKED_AT_OPEN)
        if problem:
            raise StorageError(f"{folder.name}: {name} {problem}; the index is damaged: build it again or roll back")


def check_files(folder: Path, manifest: Manifest) -> list[str]:
    """Return what is wrong with a generation's files, each checked by digest; an empty list when all is well."""
    found = []
    for name, fact in manifest.files.items():
        problem = _problem(folder / name, fact, digest=True)
        if problem:
            found.append(f"{name} {problem}")
    extra = {path.relative_to(folder).as_posix() for path in _walk(folder)} - set(manifest.files) - {MANIFEST}
    return found + [f"{name} is not in the manifest" for name in sorted(extra)]


def _problem(path: Path, fact: FileFact, *, digest: bool) -> str:
    try:
        size = path.stat().st_size
    except OSError:
        return "is missing"
    if size != fact.bytes:
        return f"has {size:,} bytes, the manifest says {fact.bytes:,}"
    if digest and _sha256(path) != fact.sha256:
        return "has been changed: its SHA-256 is not the manifest's"
    return ""
