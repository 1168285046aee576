"""Readers: every passage is the normalised slice of its file that it says it is, and nothing unreadable goes unnamed."""

import codecs
import csv
import io
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.passage import Passage, Reference
from corpus.read import READERS, read_file, read_sources
from corpus.readers.markdown import read_markdown
from corpus.readers.plain import read_plain
from corpus.readers.records import read_csv, read_jsonl, read_tsv
from corpus.readers.source import SourceError, SourceFile, Unreadable
from corpus.text import normalise, normalise_wrapped
from tests.test_text import MESSY

GOOD = "A passage about the hip joint and its muscles.\n"
# Combining marks, a line separator, tabs, an item mark: what makes offsets go wrong.
TOKENS = (
    "hip",
    "cafe\u0301",
    "a\u0323\u0307",
    "\u2028",
    "\t",
    "  ",
    "骨",
    "\U0001f9b4",
    "- ",
    "1. ",
    "Rest.",
    ":",
    "\x0b",
    "\u200b",
    "|",
)
LINES = st.lists(st.sampled_from(TOKENS), max_size=8).map("".join)
CELL = MESSY.filter(lambda text: normalise(text) != "")


def joined_lines(extra: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    """Texts of many lines under every line end, with some of the given lines among them."""
    lines = st.lists(LINES | st.sampled_from(("", "", "Do not:", "It ends.", *extra)), max_size=14)
    return st.tuples(lines, st.sampled_from(("\n", "\r\n", "\r"))).map(lambda drawn: drawn[1].join(drawn[0]))


def passages(items: Iterable[Passage | Unreadable]) -> list[Passage]:
    """Return the items, all of which must be passages."""
    found = list(items)
    assert [item for item in found if isinstance(item, Unreadable)] == []
    return [item for item in found if isinstance(item, Passage)]


def texts(items: Iterable[Passage | Unreadable]) -> list[str]:
    return [item.text for item in passages(items)]


def read_bytes(folder: Path, name: str, data: bytes) -> list[Passage | Unreadable]:
    (folder / name).write_bytes(data)
    return list(read_file(folder / name, name))


def the_reason(items: Iterable[Passage | Unreadable]) -> str:
    (item,) = items
    assert isinstance(item, Unreadable)
    return item.reason


# Plain text


@settings(deadline=None, max_examples=300)
@given(joined_lines())
def test_plain_passages_are_the_normalised_slices_of_the_file(text: str) -> None:
    found = passages(read_plain(SourceFile("a.txt", text)))
    position = 0
    for item in found:
        assert item.text in (normalise(text[item.start : item.end]), normalise_wrapped(text[item.start : item.end]))
        assert item.text
        assert position <= item.start < item.end <= len(text)
        assert normalise(text[position : item.start]) == ""
        position = item.end
    assert normalise(text[position:]) == ""


@settings(deadline=None, max_examples=60)
@given(text=joined_lines().filter(lambda text: normalise(text) != ""), mark=st.booleans())
def test_offsets_count_code_points_of_the_decoded_file_without_its_byte_order_mark(
    tmp_path_factory: pytest.TempPathFactory, text: str, mark: bool
) -> None:
    folder = tmp_path_factory.mktemp("source")
    data = (codecs.BOM_UTF8 if mark else b"") + text.encode("utf-8")
    for name in ("a.txt", "a.md"):
        if name == "a.md" and re.search(r"^\s*(?:-+|=+)\s*$", normalise(text), re.MULTILINE):
            continue  # an underline makes the line above it a heading, which is no text
        found = read_bytes(folder, name, data)
        assert found
        for item in passages(found):
            slice_ = data.decode("utf-8-sig")[item.start : item.end]
            assert item.text in (normalise(slice_), normalise_wrapped(slice_))


def test_a_file_of_one_passage_a_line_gives_one_passage_a_line() -> None:
    text = "The hip bends.\r\n\r\nThe knee  bends\ttoo.\r\nThe back holds us up."
    found = passages(read_plain(SourceFile("a.txt", text)))
    assert [(item.text, item.start, item.end) for item in found] == [
        ("The hip bends.", 0, 14),
        ("The knee bends too.", 18, 38),
        ("The back holds us up.", 40, 61),
    ]
    assert {item.source for item in found} == {"a.txt"}
    assert len({item.id for item in found}) == 3
    assert {(item.title, item.heading, item.url, item.license) for item in found} == {("", "", "", "")}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_wrapped_paragraphs_parted_by_blank_lines_are_one_passage_each(end: str) -> None:
    lines = [
        "The hip is a joint that",
        "carries the weight of the",
        "body.",
        "",
        " ",
        "The knee is another that",
        "does so as well.",
    ]
    text = end.join(lines)
    assert texts(read_plain(SourceFile("a.txt", text))) == [
        "The hip is a joint that carries the weight of the body.",
        "The knee is another that does so as well.",
    ]


@pytest.mark.parametrize("mark", ["- ", "* ", "• ", "1. ", ""])
@pytest.mark.parametrize("gap", ["\n", "\n\n"])
def test_a_list_stays_with_the_line_that_introduces_it(mark: str, gap: str) -> None:
    items = [f"{mark}squat under a heavy bar", f"{mark}run on hard ground"]
    text = "Some say rest is best.\n" + gap.join(["Until it heals, do not:", *items])
    last = texts(read_plain(SourceFile("a.txt", text)))[-1]
    assert last.split() == " ".join(["Until it heals, do not:", *items]).split()


@pytest.mark.parametrize("mark", ["- ", "1. "])
def test_a_long_marked_item_stays_with_the_line_with_a_colon_above_it(mark: str) -> None:
    item = mark + " ".join(["slowly"] * 40) + "."
    text = f"Some say rest is best.\nDo not do any of these:\n{item}\n{item}"
    assert texts(read_plain(SourceFile("a.txt", text)))[-1] == f"Do not do any of these:\n{item}\n{item}"


def test_a_block_of_items_under_wrapped_paragraphs_stays_with_the_block_above_it() -> None:
    items = "\n".join(f"- lift a heavy box from\n  the floor, exercise {n}" for n in range(9))
    text = f"Rest is what most people\ntry first.\n\nNever do any of these\nwhile it still hurts\n\n{items}\n"
    first, second = texts(read_plain(SourceFile("a.txt", text)))
    assert first == "Rest is what most people try first."
    assert second.startswith("Never do any of these while it still hurts\n\n- lift")
    assert second.endswith("exercise 8")


def test_long_paragraphs_after_a_colon_are_passages_of_their_own() -> None:
    long = " ".join(["It"] + ["hurts"] * 30) + "."
    assert texts(read_plain(SourceFile("a.txt", f"She said:\n{long}\n{long}"))) == ["She said:", long, long]


def test_a_long_run_of_blanks_is_read_in_no_time() -> None:
    text = f"The hip joint\ncarries weight.\n{' ' * 200_000}\nThe knee joint\ndoes too."
    assert len(texts(read_plain(SourceFile("a.txt", text)))) == 2


# Markdown


@settings(deadline=None, max_examples=200)
@given(joined_lines(("# A", "## B", "#", "Setext", "===", "```", "> # C", "References:", "- [T](http://x.org), P")))
def test_markdown_passages_are_the_normalised_slices_of_the_file(text: str) -> None:
    found = passages(read_markdown(SourceFile("a.md", text)))
    for item in found:
        assert item.text == normalise_wrapped(text[item.start : item.end])
        assert item.text
        assert text[item.start : item.end] == text[item.start : item.end].strip()
    assert all(a.end <= b.start for a, b in pairwise(found))


WORDS = st.lists(st.sampled_from(["hip", "cafe\u0301", "rest", "骨"]), min_size=1, max_size=5).map(" ".join)
SECTION = st.tuples(st.integers(2, 4), WORDS, st.lists(WORDS, max_size=4), st.lists(WORDS, max_size=3))


@settings(deadline=None, max_examples=150)
@given(title=WORDS, sections=st.lists(SECTION, min_size=1, max_size=5), end=st.sampled_from(("\n", "\r\n")))
def test_each_section_with_text_is_a_passage_with_its_heading_path_and_references(
    title: str, sections: list[tuple[int, str, list[str], list[str]]], end: str
) -> None:
    lines = ["---", f"title: {title}", "written: 2024-05-01", "---", f"# {title}", ""]
    expected, path = [], list[tuple[int, str]]()
    for level, heading, paragraphs, works in sections:
        lines += ["#" * level + " " + heading, "", *(line for paragraph in paragraphs for line in (paragraph, ""))]
        if works:
            lines += ["References:", *(f"- [{work}](https://example.org/a), Publisher of {work}" for work in works), ""]
        path = [*((above, name) for above, name in path if above < level), (level, normalise(heading))]
        references = tuple(Reference(normalise(w), f"Publisher of {normalise(w)}", "https://example.org/a") for w in works)
        if paragraphs:
            expected.append((" > ".join(name for _, name in path), normalise("\n\n".join(paragraphs)), references))
    found = passages(read_markdown(SourceFile("a.md", end.join(lines))))
    assert [(item.heading, item.text, item.references) for item in found] == expected
    assert {(item.title, item.reviewed) for item in found} <= {(normalise(title), "2024-05-01")}


def test_front_matter_gives_the_fields_as_they_stand_in_the_file() -> None:
    matter = (
        "---\ntitle: On\nlanguage: no\ndate: 2024-02-30\nlicence: CC BY 4.0\nurl: ~\npublisher: 1.10\n"
        "references:\n- title: Hips\n  publisher: A press\n  url: https://example.org/h\n---\n"
    )
    (item,) = passages(read_markdown(SourceFile("a.md", matter + "Some text.")))
    assert (item.title, item.language, item.reviewed) == ("On", "no", "2024-02-30")
    assert (item.license, item.url, item.publisher, item.heading) == ("CC BY 4.0", "", "1.10", "")
    assert item.references == (Reference("Hips", "A press", "https://example.org/h"),)
    assert item.start == len(matter)


@pytest.mark.parametrize("matter", ["", "---\n---\n", "---\n\n---\n", "---\ntopic: hip\n...\n", "---\ntitle:\n---\n"])
def test_without_a_title_in_front_matter_the_first_heading_is_the_title(matter: str) -> None:
    (item,) = passages(read_markdown(SourceFile("a.md", f"{matter}# The hip\n\nSome text.\n")))
    assert (item.title, item.heading, item.text, item.context) == ("The hip", "", "Some text.", "The hip")


def test_a_reference_without_a_link_and_one_without_a_publisher_are_read() -> None:
    text = "# H\n\nText.\n\nReferences:\n- Back pain, third edition, A press\n- [Hips](https://example.org)\n* Alone\n"
    (item,) = passages(read_markdown(SourceFile("a.md", text)))
    assert item.references == (
        Reference("Back pain, third edition", "A press", ""),
        Reference("Hips", "", "https://example.org"),
        Reference("Alone", "", ""),
    )
    assert item.text == "Text."


def test_a_list_called_references_in_the_middle_of_a_section_is_text() -> None:
    text = "# H\n\nText.\n\nReferences:\n- a\n\nMore text."
    (item,) = passages(read_markdown(SourceFile("a.md", text)))
    assert item.text == "Text.\n\nReferences:\n- a\n\nMore text."
    assert item.references == ()


def test_a_long_list_with_other_text_behind_it_is_read_in_no_time() -> None:
    text = "# H\r\n\r\nReferences:\r\n" + "- a work\r\n" * 60 + "tail"
    (item,) = passages(read_markdown(SourceFile("a.md", text)))
    assert item.text.endswith("tail")


def test_headings_in_code_and_quotes_part_nothing_and_markup_stays() -> None:
    text = "# H\n\n```\n# not a heading\n```\n\n> # nor this\n\n**Rest** [now](https://example.org).\n"
    (item,) = passages(read_markdown(SourceFile("a.md", text)))
    assert "# not a heading" in item.text
    assert item.text.endswith("**Rest** [now](https://example.org).")


# Records


RECORDS = st.lists(
    st.fixed_dictionaries({"text": CELL}, optional={"_id": CELL, "title": MESSY, "Section": MESSY, "extra": MESSY}), max_size=5
)


@settings(deadline=None, max_examples=150)
@given(records=RECORDS, escaped=st.booleans(), end=st.sampled_from(("\n", "\r\n", "\n\n", "\n \r\n")))
def test_the_slice_of_a_jsonl_passage_parses_back_to_its_record(records: list[dict[str, str]], escaped: bool, end: str) -> None:
    text = end.join(json.dumps(record, ensure_ascii=escaped) for record in records)
    found = passages(read_jsonl(SourceFile("a.jsonl", text)))
    assert [json.loads(text[item.start : item.end]) for item in found] == records
    for item, record in zip(found, records, strict=True):
        expected = (normalise(record[field]) if field in record else "" for field in ("text", "title", "Section"))
        assert (item.text, item.title, item.heading) == tuple(expected)
        assert item.document == normalise(record.get("_id", "")) or item.document == "a.jsonl"


@settings(deadline=None, max_examples=150)
@given(
    rows=st.lists(st.tuples(MESSY, CELL, MESSY), max_size=5),
    # Before Python 3.13 a minimal quoter quotes "\r" only where the line end holds it.
    style=st.sampled_from((("\r\n", csv.QUOTE_MINIMAL), ("\r\n", csv.QUOTE_ALL), ("\n", csv.QUOTE_ALL))),
    table=st.sampled_from(((",", read_csv), ("\t", read_tsv))),
)
def test_the_slice_of_a_table_row_parses_back_to_its_cells(
    rows: list[tuple[str, str, str]],
    style: tuple[str, Any],
    table: tuple[str, Callable[[SourceFile], Iterable[Passage | Unreadable]]],
) -> None:
    (delimiter, reader), (end, quoting) = table, style
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows([("Title", " TEXT ", "other"), *rows])
    text = file.getvalue()
    found = passages(reader(SourceFile("a.csv", text)))
    slices = [text[item.start : item.end] for item in found]
    assert [part for part in slices if part.endswith(("\r", "\n"))] == []
    parsed = [list(csv.reader(io.StringIO(part, newline=""), delimiter=delimiter, strict=True)) for part in slices]
    assert parsed == [[list(row)] for row in rows]
    assert [(item.title, item.text) for item in found] == [(normalise(row[0]), normalise(row[1])) for row in rows]


def test_a_beir_record_keeps_its_id_and_its_metadata() -> None:
    record = {
        "_id": 7,
        "title": "Hips",
        "text": "The hip\nbends.",
        "metadata": {"URL": "https://example.org", "publisher": "A press", "date": "2024-05-01", "title": "Other"},
        "references": [{"title": "Work", "publisher": "A press"}],
    }
    (item,) = passages(read_jsonl(SourceFile("a.jsonl", json.dumps(record))))
    assert (item.document, item.title, item.text) == ("7", "Hips", "The hip\nbends.")
    assert (item.url, item.publisher, item.reviewed) == ("https://example.org", "A press", "2024-05-01")
    assert item.references == (Reference("Work", "A press", ""),)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{'text': 'a'}", "line 2 is not JSON: .*double quotes"),
        ('{"text": "cut off', "line 2 is not JSON"),
        ("[" * 100_000, "line 2 is not JSON"),
        ('["a"]', "line 2 is not a JSON object"),
        ("null", "line 2 is not a JSON object"),
        ('{"title": "a"}', "line 2 has no text"),
        ('{"text": null}', "line 2 has no text"),
        ('{"text": " \\t"}', "line 2 has no text"),
        ('{"text": "\\u200b\\u0007"}', "line 2 has no text"),
        ('{"text": 5}', "line 2: text is not a string"),
        ('{"text": ["a"]}', "line 2: text is not a string"),
        ('{"text": "a", "title": {"en": "b"}}', "line 2: title is not a string"),
        ('{"text": "a", "title": false}', "line 2: title is not a string"),
        ('{"text": "a \\ud83d"}', "line 2 holds lone surrogates"),
        ('{"text": "a", "url": "\\udc00"}', "line 2 holds lone surrogates"),
        ('{"text": "a", "references": [{"title": "\\udc00"}]}', "line 2 holds lone surrogates"),
    ],
)
def test_a_damaged_json_line_is_named_with_its_place_and_the_others_are_read(line: str, reason: str) -> None:
    text = '{"text": "First."}\n' + line + '\n{"text": "Last."}\n'
    first, damaged, last = read_jsonl(SourceFile("a.jsonl", text))
    assert isinstance(damaged, Unreadable)
    assert (damaged.source, text[damaged.start : damaged.end]) == ("a.jsonl", line)
    with pytest.raises(ValueError, match=reason):
        raise ValueError(damaged.reason)
    assert texts([first, last]) == ["First.", "Last."]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("b,two,more", "row at line 5 has 3 cells, the header names 2"),
        ("b", "row at line 5 has 1 cells, the header names 2"),
        ("b,", "row at line 5 has no text"),
    ],
)
def test_a_damaged_row_is_named_with_its_place_and_the_others_are_read(row: str, reason: str) -> None:
    text = f"id,text\na,First.\n\n , \n{row}\nc,Last.\n"
    first, damaged, last = read_csv(SourceFile("a.csv", text))
    assert isinstance(damaged, Unreadable)
    assert damaged.reason.startswith(reason)
    assert text[damaged.start : damaged.end].rstrip("\n") == row
    assert [(item.document, item.text) for item in passages([first, last])] == [("a", "First."), ("c", "Last.")]
    assert [text[item.start : item.end] for item in passages([first, last])] == ["a,First.", "c,Last."]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('b,"Do not ""twist"" or "turn" hard.', "row at line 3: ',' expected after '\"'"),
        (f"b,{'a' * 140_000}", "row at line 3: field larger than field limit"),
    ],
)
def test_nothing_is_read_after_a_damaged_quote(row: str, reason: str) -> None:
    """What follows could be the rest of a sentence that forbids it."""
    text = f"id,text\na,First.\n{row}\nSleep on that side.\nc,Last.\n"
    first, damaged = read_csv(SourceFile("a.csv", text))
    assert [item.text for item in passages([first])] == ["First."]
    assert isinstance(damaged, Unreadable)
    assert damaged.reason.startswith(reason)
    assert damaged.reason.endswith("the rest of the file is left out")
    assert (damaged.start, damaged.end) == (text.index(row), len(text))


def test_a_table_with_old_line_ends_is_read() -> None:
    text = 'title,text\rA,"Rest,\rthen walk."\rB,Swim.\r'
    found = passages(read_csv(SourceFile("a.csv", text)))
    assert [(item.title, item.text) for item in found] == [("A", "Rest,\nthen walk."), ("B", "Swim.")]
    assert [text[item.start : item.end] for item in found] == ['A,"Rest,\rthen walk."', "B,Swim."]


def test_a_row_with_an_open_quote_is_named_with_all_it_swallowed() -> None:
    text = 'id,text\na,First.\nb,"Second.\nc,Last.\n'
    first, damaged = read_csv(SourceFile("a.csv", text))
    assert texts([first]) == ["First."]
    assert isinstance(damaged, Unreadable)
    assert text[damaged.start : damaged.end] == 'b,"Second.\nc,Last.\n'
    assert "unexpected end of data" in damaged.reason


# Files and folders


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.txt", b"", "it is empty"),
        ("a.txt", b" \r\n\t\n", "it is empty"),
        ("a.txt", codecs.BOM_UTF8, "it holds no passage"),
        ("a.md", b"---\ntitle: Only front matter\n---\n", "it holds no passage"),
        ("a.jsonl", codecs.BOM_UTF8 + b"\n", "it holds no passage"),
        ("a.csv", b"text\n", "it holds no passage"),
        ("a.txt", b"\x89PNG\r\n\x1a\n\x00\x00", "it is binary"),
        ("a.md", "The hip".encode("utf-16"), "it is binary"),
        ("a.txt", "caf\xe9 au lait".encode("latin-1"), "it is not UTF-8 text: byte 0xe9 at position 3; convert"),
        ("a.txt", codecs.BOM_UTF8 + b"caf\xe9", "it is not UTF-8 text: byte 0xe9 at position 6; convert"),
        ("a.pdf", b"%PDF-1.7", "its format .pdf is not read; known are .txt, .md"),
        ("README", b"text", r"its format \(no suffix\) is not read"),
        ("a.csv", b"name,age\nx,1\n", "its first line names no column text or .*; found: name, age"),
        ("a.tsv", b"id,text\nx,1\n", "its first line names no column text"),
        ("a.csv", b'"text\nThe hip.\n', "its first line is not a header: unexpected end of data"),
        ("a.md", b"---\ntitle: [open\n---\nText.\n", "its front matter is not valid YAML: .*expected"),
        ("a.md", b"---\ntitle: a: b\n---\nText.\n", "its front matter is not valid YAML: mapping values"),
        ("a.md", b'---\ntitle: "\\UFFFFFFFF"\n---\nText.\n', "its front matter is not valid YAML"),
        ("a.md", b"---\n" + b"[" * 5_000 + b"\n---\nText.\n", "its front matter is not valid YAML"),
        ("a.md", b"---\njust prose\n---\nText.\n", "its front matter is not a list of 'name: value' lines"),
        ("a.md", b"---\n- title\n---\nText.\n", "its front matter is not a list of 'name: value' lines"),
        ("a.md", b"---\ntitle: [a, b]\n---\nText.\n", "'title' in its front matter is not one line of text"),
        ("a.md", b'---\ntitle: "\\uD800"\n---\nText.\n', "'title' in its front matter is not one line of text"),
        ("a.md", b"---\nreferences: Hips\n---\nText.\n", "'references' in its front matter is not a list of title"),
        ("a.md", b"---\nreferences:\n- Hips\n---\nText.\n", "'references' in its front matter is not a list of title"),
    ],
)
def test_an_unreadable_file_is_named_with_its_reason_and_the_others_are_read(
    tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(data)
    (tmp_path / "0-good.txt").write_text(GOOD)
    (tmp_path / "z-good.txt").write_text(GOOD)
    first, refused, last = read_sources([tmp_path])
    assert isinstance(refused, Unreadable)
    assert refused.source == name
    with pytest.raises(ValueError, match=f"^{reason}"):
        raise ValueError(refused.reason)
    assert texts([first, last]) == [GOOD.strip()] * 2


def test_a_folder_of_every_format_is_read_in_order_of_name(tmp_path: Path) -> None:
    files: Mapping[str, str] = {
        "a.txt": "From plain text.",
        "b/c.md": "# T\n\nFrom markdown.",
        "b/d.markdown": "From markdown too.",
        "e.jsonl": '{"text": "From JSON."}',
        "f.CSV": "text\nFrom commas.",
        "g.tsv": "text\nFrom tabs.",
        ".hidden.txt": "Never read.",
        ".git/config.txt": "Never read.",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = passages(read_sources([tmp_path]))
    assert [item.source for item in found] == ["a.txt", "b/c.md", "b/d.markdown", "e.jsonl", "f.CSV", "g.tsv"]
    assert found[4].text == "From commas."
    assert {Path(name).suffix.lower() for name in files if not name.startswith(".")} == set(READERS)


def test_files_and_folders_are_read_in_the_order_given(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b/one.txt").write_text("First of all.")
    (tmp_path / "a.txt").write_text("Second of all.")
    assert texts(read_sources([tmp_path / "b", tmp_path / "a.txt"])) == ["First of all.", "Second of all."]


def test_links_that_lead_nowhere_or_to_a_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/good.txt").write_text(GOOD)
    (tmp_path / "folder").symlink_to(tmp_path / "real", target_is_directory=True)
    (tmp_path / "lost.txt").symlink_to(tmp_path / "nowhere.txt")
    folder, lost, good = read_sources([tmp_path])
    assert (type(folder), folder.source) == (Unreadable, "folder")
    assert (type(lost), lost.source) == (Unreadable, "lost.txt")
    assert "it cannot be opened: No such file" in the_reason([lost])
    assert texts([good]) == [GOOD.strip()]


def test_a_missing_source_is_an_error_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(GOOD)
    with pytest.raises(SourceError, match=r"nowhere\.txt does not exist"):
        next(read_sources([tmp_path / "a.txt", tmp_path / "nowhere.txt"]))


# Identity


def test_ids_are_the_same_on_every_reading_and_change_with_the_words(tmp_path: Path) -> None:
    first = passages(read_bytes(tmp_path, "a.txt", b"The hip bends.\nThe knee bends."))
    assert first == read_bytes(tmp_path, "a.txt", b"The hip bends.\nThe knee bends.")
    # Other line ends, and other words before it, leave an id as it was; another word, or another file, does not.
    assert read_bytes(tmp_path, "a.txt", b"Above.\r\nThe  hip bends.\r\n")[1] != first[0]
    moved = passages(read_bytes(tmp_path, "a.txt", b"Above.\r\nThe  hip bends.\r\n"))[1]
    assert (moved.id, moved.sha256) == (first[0].id, first[0].sha256)
    edited = passages(read_bytes(tmp_path, "a.txt", b"The hip bent."))[0]
    other = passages(read_bytes(tmp_path, "b.txt", b"The hip bends."))[0]
    assert len({first[0].id, first[1].id, edited.id, other.id}) == 4
    assert all(len(item.id) == 16 and int(item.id, 16) >= 0 for item in first)


def test_the_same_record_in_two_files_is_two_passages() -> None:
    line = '{"_id": "1", "title": "Hips", "section": "Hips", "text": "The hip bends."}'
    (one,), (other,) = (passages(read_jsonl(SourceFile(name, line))) for name in ("a.jsonl", "b.jsonl"))
    assert one.id != other.id
    assert one.context == other.context == "Hips"


def test_title_and_heading_make_the_context() -> None:
    text = "---\ntitle: Hips\n---\nIntro.\n# Hips\nA.\n## Pain\nB.\n### At night\nC.\n"
    found = passages(read_markdown(SourceFile("a.md", text)))
    assert [item.context for item in found] == ["Hips", "Hips", "Hips. Pain", "Hips. Pain > At night"]
    assert unicodedata.is_normalized("NFC", "".join(item.context for item in found))


def test_a_file_name_that_is_no_text_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text(GOOD, encoding="utf-8")
    (tmp_path / os.fsdecode(b"bad\xff.txt")).write_text(GOOD, encoding="utf-8")
    refused, read = list(read_sources([tmp_path]))
    assert isinstance(refused, Unreadable)
    assert (refused.source, refused.reason) == ("bad\\udcff.txt", "its name is not UTF-8 text; rename it")
    assert isinstance(read, Passage)
    assert read.source == "good.txt"
