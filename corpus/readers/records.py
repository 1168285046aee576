"""Records: BEIR .jsonl (one JSON object a line) and .csv or .tsv with a header line, one passage a record.

A record needs a text; id, title, heading, url, publisher, reviewed, license and language are read where they are given,
under the names below, in any case. A damaged record is named and the others are read.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from corpus.passage import Passage, Reference
from corpus.readers.source import Place, SourceError, SourceFile, Unreadable, make_passage
from corpus.text import has_lone_surrogates, normalise

# How the reason of a record without text ends.
NO_TEXT = "has no text"
NAMES = {
    "id": ("_id", "id", "docid", "doc_id"),
    "text": ("text", "passage", "contents", "content", "answer", "body"),
    "title": ("title",),
    "heading": ("heading", "section", "question"),
    "url": ("url", "link"),
    "publisher": ("publisher", "site"),
    "reviewed": ("reviewed", "reviewed_on", "written", "date"),
    "license": ("license", "licence"),
    "language": ("language", "lang"),
}


def read_jsonl(source: SourceFile) -> Iterator[Passage | Unreadable]:
    """Yield the passage of each line, or an Unreadable that names the line and what is wrong with it."""
    start = 0
    # Not str.splitlines: it would also part at U+2028 and its like, which JSON strings may hold.
    for number, line in enumerate(source.text.split("\n"), 1):
        place = Place("", start, start + len(line.rstrip("\r")))
        start += len(line) + 1
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Unreadable(source.name, place.start, place.end, f"line {number} is not JSON: {error}")
            continue
        if isinstance(record, dict):
            yield _passage(source, place, record, f"line {number}")
        else:
            yield Unreadable(source.name, place.start, place.end, f"line {number} is not a JSON object")


def read_csv(source: SourceFile) -> Iterator[Passage | Unreadable]:
    """Yield the passage of each comma-separated row."""
    return _read_table(source, ",")


def read_tsv(source: SourceFile) -> Iterator[Passage | Unreadable]:
    """Yield the passage of each tab-separated row."""
    return _read_table(source, "\t")


def _read_table(source: SourceFile, delimiter: str) -> Iterator[Passage | Unreadable]:
    consumed = 0

    def lines() -> Iterator[str]:
        nonlocal consumed
        for line in io.StringIO(source.text, newline=""):
            consumed += len(line)
            yield line

    rows = csv.reader(lines(), delimiter=delimiter, strict=True)
    try:
        header = [name.strip().lower() for name in next(rows, [])]
    except csv.Error as error:
        raise SourceError(f"its first line is not a header: {error}") from error
    if not set(NAMES["text"]) & set(header):
        raise SourceError(f"its first line names no column {' or '.join(NAMES['text'])}; found: {', '.join(header)[:200]}")
    start = consumed
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            # After a damaged quote nobody knows where a cell ends: what follows could be the rest of a "do not".
            reason = f"row at line {rows.line_num}: {error}; the rest of the file is left out"
            yield Unreadable(source.name, start, len(source.text), reason)
            return
        if row is None:
            return
        place = Place("", start, start + len(source.text[start:consumed].rstrip("\r\n")))
        start = consumed
        if any(cell.strip() for cell in row):
            yield _row_passage(source, place, header, row, rows.line_num)


def _row_passage(source: SourceFile, place: Place, header: list[str], row: list[str], line: int) -> Passage | Unreadable:
    if len(row) != len(header):
        reason = f"row at line {line} has {len(row)} cells, the header names {len(header)}"
        return Unreadable(source.name, place.start, place.end, reason)
    return _passage(source, place, dict(zip(header, row, strict=True)), f"row at line {line}")


def _passage(source: SourceFile, place: Place, record: Mapping[str, Any], where: str) -> Passage | Unreadable:
    values = _known(record)
    wrong = [name for name, value in values.items() if not isinstance(value, (str, int, float)) or isinstance(value, bool)]
    text = values.get("text", "")
    if wrong or not isinstance(text, str):
        return Unreadable(source.name, place.start, place.end, f"{where}: {(wrong or ['text'])[0]} is not a string")
    fields = {name: normalise(str(value)) for name, value in values.items()}
    references = _references(record.get("references"))
    named = [part for reference in references for part in (reference.title, reference.publisher, reference.url)]
    if any(has_lone_surrogates(value) for value in (*fields.values(), *named)):
        return Unreadable(source.name, place.start, place.end, f"{where} holds lone surrogates, which are not text")
    if not fields.get("text"):
        return Unreadable(source.name, place.start, place.end, f"{where} {NO_TEXT}")
    document = fields.pop("id", "") or source.name
    return make_passage(source, Place(document, place.start, place.end), fields.pop("text"), fields, references=references)


def _known(record: Mapping[str, Any]) -> dict[str, Any]:
    lowered = {str(key).lower(): value for key, value in record.items() if value is not None}
    metadata = lowered.get("metadata")
    if isinstance(metadata, dict):
        lowered = {**{str(key).lower(): value for key, value in metadata.items() if value is not None}, **lowered}
    found = {}
    for field, names in NAMES.items():
        for name in names:
            if name in lowered:
                found[field] = lowered[name]
                break
    return found


def _references(listed: Any) -> tuple[Reference, ...]:
    if not isinstance(listed, list):
        return ()
    items = [item for item in listed if isinstance(item, dict)]
    keys = ("title", "publisher", "url")
    return tuple(Reference(*(normalise(str(item.get(key) or "")) for key in keys)) for item in items)
