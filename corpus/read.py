"""Source files and folders to passages: finds the files, decodes them, and hands each to its format's reader.

Nothing is skipped in silence: a file that cannot be read comes out as an Unreadable with its name and the reason, and the
others are read all the same. Only hidden files (a name that starts with a dot) are left alone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from corpus.passage import Passage
from corpus.readers.markdown import read_markdown
from corpus.readers.plain import read_plain
from corpus.readers.records import read_csv, read_jsonl, read_tsv
from corpus.readers.source import SourceError, SourceFile, Unreadable
from corpus.text import has_lone_surrogates

Reader = Callable[[SourceFile], Iterable[Passage | Unreadable]]
READERS: dict[str, Reader] = {
    ".txt": read_plain,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_tsv,
}


def read_sources(sources: Sequence[Path]) -> Iterator[Passage | Unreadable]:
    """Yield the passages of files and folders in order of name; raise SourceError for a source that does not exist."""
    for source in sources:
        if not source.exists():
            raise SourceError(f"{source} does not exist")
    for source in sources:
        for path, name in _files(source):
            yield from read_file(path, name)


def read_file(path: Path, name: str) -> Iterator[Passage | Unreadable]:
    """Yield the passages of one file, or one Unreadable that says why there are none."""
    try:
        if has_lone_surrogates(name):
            name = name.encode("utf-8", "backslashreplace").decode("utf-8")
            raise SourceError("its name is not UTF-8 text; rename it")
        reader = _reader(path)
        source = SourceFile(name, _decode(path))
        found = False
        for item in reader(source):
            found = True
            yield item
        if not found:
            raise SourceError("it holds no passage")
    except SourceError as error:
        yield Unreadable(name, 0, 0, str(error))


def _files(source: Path) -> Iterator[tuple[Path, str]]:
    if source.is_file():
        yield source, source.name
        return
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        # A link is named even where it leads nowhere or to a folder: it is not followed there, and not passed over either.
        if (path.is_file() or path.is_symlink()) and not any(part.startswith(".") for part in relative.parts):
            yield path, relative.as_posix()


def _reader(path: Path) -> Reader:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise SourceError(f"its format {path.suffix or '(no suffix)'} is not read; known are {', '.join(READERS)}")
    return reader


def _decode(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"it cannot be opened: {error.strerror}") from error
    if not data.strip():
        raise SourceError("it is empty")
    if b"\x00" in data:
        raise SourceError("it is binary (it holds zero bytes), not text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The error counts from behind a byte-order mark.
        at = error.start + len(data) - len(error.object)
        raise SourceError(f"it is not UTF-8 text: byte 0x{data[at]:02x} at position {at}; convert it to UTF-8") from error
