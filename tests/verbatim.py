"""The verbatim guarantee as a check: why each string of an answer may stand there, or that nothing allows it.

What a quote must equal is read from the source files, not from the index. A field this module does not know is a violation,
so that a new one cannot slip through unjudged.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from corpus.passage import Passage, text_sha256
from corpus.read import read_sources
from index.lay_terms import lay_terms, lay_words, texting
from index.medicines import medicines
from index.vocabulary import WORD, english, plain
from qa.flags import load_rules
from qa.policy import ABSTENTION, ADVICE, DISCLAIMER

# What may stand between the words of searched_as beside what the question and its history hold.
ADDED_MARKS = frozenset(" (),:-")
CITED = ("title", "heading", "publisher", "url", "source", "reviewed", "license")
PATTERNS = {
    "id": r"[0-9a-f]{16}",
    "status": r"answered|abstained|alert",
    "reason": r"off_topic|not_covered|unclear",
}


@dataclass(frozen=True, slots=True)
class Source:
    """What the source files hold: passages by id, and every word of them."""

    passages: Mapping[str, Passage]
    words: frozenset[str]

    @classmethod
    def read(cls, *paths: Path) -> "Source":
        """Read source files with the readers alone."""
        passages = {item.id: item for item in read_sources(paths) if isinstance(item, Passage)}
        texts = (f"{p.title} {p.heading} {p.text}" for p in passages.values())
        return cls(passages, frozenset(plain(word) for text in texts for word in WORD.findall(text)))


def violations(record: Mapping[str, Any], source: Source, question: str, history: Sequence[str] = ()) -> list[str]:
    """Return every string of an answer's record that is no slice of a source, no field of one, and no fixed sentence."""
    headings = {p.heading for p in source.passages.values()}
    titles = {p.title for p in source.passages.values()}
    found = [f"the field {name!r} is not known" for name in record.keys() - KNOWN]
    for name, pattern in PATTERNS.items():
        if record[name] is not None and not re.fullmatch(pattern, record[name]):
            found.append(f"{name} is {record[name]!r}")
    reason = record["reason"]
    if record["message"] != (ABSTENTION[reason] if reason else None) or record["advice"] != (
        ADVICE[reason] if reason else None
    ):
        found.append("message or advice is no fixed sentence")
    if record["disclaimer"] != asdict(DISCLAIMER):
        found.append("the disclaimer is not the fixed one")
    if record["alert"] is not None and record["alert"] not in cards():
        found.append("the alert is no card of the red-flag file")
    found += [f"suggestion {text!r} is no heading" for text in record["suggestions"] if not text or text not in headings]
    found += [f"topic {text!r} is no title" for text in record["topics"] if not text or text not in titles]
    found += [fault for rank, quote in enumerate(record["quotes"], 1) for fault in _quote_faults(quote, rank, source)]
    return found + _searched_faults(record["searched_as"], source, question, history)


KNOWN = frozenset(
    "id status reason message advice confidence searched_as quotes topics suggestions disclaimer alert index took_ms".split()
)


def cards() -> list[dict[str, Any]]:
    """Return the records of every card; tuples as they are, as in an answer's record."""
    return [asdict(family.alert) for family in load_rules().families]


def _quote_faults(quote: Mapping[str, Any], rank: int, source: Source) -> Iterator[str]:
    cited = quote["citation"]
    if quote.keys() != {"rank", "text", "score", "highlights", "citation"}:
        yield f"quote {rank} has fields {sorted(quote)}"
    if cited.keys() != {*CITED, "number", "passage_id", "permalink", "start", "end", "sha256", "references"}:
        yield f"citation {rank} has fields {sorted(cited)}"
    passage = source.passages.get(cited["passage_id"])
    if passage is None:
        yield f"quote {rank} cites no passage of the source: {cited['passage_id']!r}"
        return
    if not 0 <= cited["start"] < cited["end"] <= len(passage.text):
        yield f"quote {rank} cites a range outside its passage"
    if quote["text"] != passage.text[cited["start"] : cited["end"]]:
        yield f"quote {rank} is not its passage's text from start to end"
    if cited["sha256"] != text_sha256(quote["text"]):
        yield f"quote {rank} has another SHA-256"
    if any(cited[name] != getattr(passage, name) for name in CITED) or cited["permalink"] != f"/passages/{passage.id}":
        yield f"citation {rank} is not as the source has it"
    if [dict(work) for work in cited["references"]] != [asdict(work) for work in passage.references]:
        yield f"citation {rank} names other references"
    if (quote["rank"], cited["number"]) != (rank, rank):
        yield f"quote {rank} is numbered otherwise"
    yield from _highlight_faults(quote, rank)


def _highlight_faults(quote: Mapping[str, Any], rank: int) -> Iterator[str]:
    at = 0
    for span in quote["highlights"]:
        marked = quote["text"][span["start"] : span["end"]]
        if not at <= span["start"] < span["end"] <= len(quote["text"]) or marked != marked.strip():
            yield f"quote {rank} has a highlight outside its text or off its sentences: {span}"
        at = span["end"]


def _searched_faults(searched: str | None, source: Source, question: str, history: Sequence[str]) -> list[str]:
    """Return what is wrong with ``searched_as``: each word is the asker's, the corpus's, or one of a reviewed list."""
    if searched is None:
        return []
    said = unicodedata.normalize("NFKC", " ".join([question, *history]))
    known = {plain(word) for word in WORD.findall(said)} | source.words | listed()
    spelt = english()
    strange = [w for w in WORD.findall(searched) if plain(w) not in known and not spelt.count(plain(w).removesuffix("'s"))]
    rest = set(WORD.sub("", searched)) - set(said) - ADDED_MARKS
    return [f"searched_as holds {what!r}" for what in [*strange, *sorted(rest)]]


def listed() -> set[str]:
    """Return every word of the reviewed lists: lay words and their names, everyday short forms, medicines."""
    names = {name for terms in lay_terms().values() for term in terms for name in term.names}
    words = {plain(word) for name in names for word in WORD.findall(name)}
    return words | lay_words() | {plain(w) for text in texting().values() for w in WORD.findall(text)} | medicines()
