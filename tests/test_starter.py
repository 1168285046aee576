"""The starter corpus: every section is short, licensed, referenced, in words of its own, and together they span the topics."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from corpus.clean import Rejected, clean
from corpus.passage import Passage
from corpus.read import read_sources
from corpus.readers.source import Unreadable
from corpus.text import normalise_wrapped

STARTER = Path(__file__).resolve().parent.parent / "corpus" / "starter"
FILES = sorted(STARTER.glob("*.md"))
WORDS_A_SECTION = range(60, 181)
# So many words in a row are a copy, not a coincidence.
COPIED_WORDS = 8

TOPICS = (
    *("anatomy", "strain", "sprain", "hip flexor", "adductor", "hamstring", "iliopsoas", "bursitis", "arthritis"),
    *(
        "avascular necrosis",
        "paget",
        "lumbar strain",
        "disc degeneration|degenerat[a-z]* disc|disc[a-z]* degenerat",
        "sciatica",
    ),
    *("stenosis", "injection", "nerve block", "idet", "foraminotomy", "fusion", "stretch", "ice", "heat", "low-impact"),
    *("sitting", "belief", "doctor", "history", "research"),
)


@pytest.fixture(scope="module")
def passages() -> list[Passage]:
    found = list(read_sources([STARTER]))
    assert [item for item in found if isinstance(item, Unreadable)] == []
    return [item for item in found if isinstance(item, Passage)]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower().replace("’", "'"))


def runs(text: str) -> Iterator[tuple[str, ...]]:
    """Yield each run of as many words as make a copy."""
    found = words(text)
    yield from (tuple(found[i : i + COPIED_WORDS]) for i in range(len(found) - COPIED_WORDS + 1))


def where(passage: Passage) -> str:
    return f"{passage.source}: {passage.heading}"


def test_the_folder_holds_markdown_alone_and_all_of_it_is_read(passages: list[Passage]) -> None:
    assert sorted(STARTER.iterdir()) == FILES
    assert {item.source for item in passages} == {path.name for path in FILES}


def test_there_are_at_least_150_passages_with_ids_of_their_own(passages: list[Passage]) -> None:
    assert len(passages) >= 150
    assert len({item.id for item in passages}) == len(passages)


def test_every_passage_has_a_heading_that_no_other_of_its_file_has(passages: list[Passage]) -> None:
    assert [item.source for item in passages if not item.heading] == []
    assert [name for name, count in Counter(where(item) for item in passages).items() if count > 1] == []


def test_no_section_is_too_short_to_answer_or_too_long_to_quote(passages: list[Passage]) -> None:
    lengths = {where(item): len(item.text.split()) for item in passages}
    assert {name: length for name, length in lengths.items() if length not in WORDS_A_SECTION} == {}


def test_every_text_is_the_slice_of_its_file(passages: list[Passage]) -> None:
    files = {path.name: path.read_bytes().decode("utf-8") for path in FILES}
    assert [where(p) for p in passages if normalise_wrapped(files[p.source][p.start : p.end]) != p.text] == []


def test_cleaning_rejects_nothing(passages: list[Passage]) -> None:
    assert [item for item in clean(passages) if isinstance(item, Rejected)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_front_matter_says_what_when_and_under_which_licence(path: Path, passages: list[Passage]) -> None:
    matter = yaml.safe_load(path.read_text(encoding="utf-8").split("---\n")[1])
    assert {"title", "topic", "language", "written", "license"} <= set(matter)
    assert matter["title"].strip()
    assert matter["topic"].strip()
    assert isinstance(matter["written"], date)
    assert (matter["language"], matter["license"]) == ("en", "CC BY 4.0")
    for item in (item for item in passages if item.source == path.name):
        assert (item.title, item.language, item.license) == (matter["title"], "en", "CC BY 4.0")
        assert item.reviewed == matter["written"].isoformat()


def test_every_passage_names_at_least_one_reference_with_title_and_publisher(passages: list[Passage]) -> None:
    assert [where(item) for item in passages if not item.references] == []
    cited = {reference for item in passages for reference in item.references}
    assert [reference for reference in cited if not reference.title.strip() or not reference.publisher.strip()] == []
    assert [
        r for r in cited if r.url and (urlsplit(r.url).scheme not in ("http", "https") or not urlsplit(r.url).hostname)
    ] == []


def test_no_references_are_left_in_a_text(passages: list[Passage]) -> None:
    assert [where(item) for item in passages if re.search(r"^References\b|\]\(http", item.text, re.MULTILINE)] == []


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_is_covered(topic: str, passages: list[Passage]) -> None:
    pattern = re.compile(rf"\b(?:{topic})")
    assert any(pattern.search(f"{item.source}\n{item.title}\n{item.heading}\n{item.text}".casefold()) for item in passages)


def test_no_eight_words_in_a_row_are_the_users(shared: Path) -> None:
    sources = sorted((shared / "seeds").glob("*.txt"))
    assert sources
    raw = {run for path in sources for line in path.read_text(encoding="utf-8").splitlines() for run in runs(line)}
    assert len(raw) > 1_000
    copied = {path.name: run for path in FILES for run in runs(path.read_text(encoding="utf-8")) if run in raw}
    assert copied == {}
