"""The verbatim guarantee as a checker: says of every string that leaves the product why it may stand there.

What an answer holds is compared with passages read anew from the source files, never with the index that answered. Texts
come from four places and no other: a slice of a passage; a field of its source (title, heading, publisher ...); a fixed
sentence of qa/policy.py; a card of qa/red_flags.toml. ``searched_as`` alone is put together, and only of words: the
question's and its history's, the corpus's, and those of the reviewed lists. A field not named here is a violation.
"""

import json
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from corpus.passage import Passage, text_sha256
from corpus.read import read_sources
from index.medicines import medicines
from index.spelling import COMMON
from index.vocabulary import english
from qa.policy import ABSTENTION, ADVICE, DISCLAIMER
from web import plain
from web.pages import STARTERS
from web.widget_source import words

PROJECT = Path(__file__).resolve().parent.parent
# What may stand between the words of searched_as that is not in the question or its history.
PUNCTUATION = frozenset(" :,()'")
# The fields of a citation that are its passage's own.
OWN_FIELDS = ("title", "heading", "publisher", "url", "source", "reviewed", "license")
_RUN = re.compile(r"[^\W_]+")
_CODE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
# How old a source is, after the date that it gives.
AGES = tuple(f" {unit}{plural} ago)" for unit in ("year", "month") for plural in ("s", ""))
# Elements that part no text: a card's telephone numbers are links within a sentence.
INLINE = frozenset(("a", "b", "cite", "em", "mark", "q"))
TERMINAL_LABELS = (
    *("also searched for", "Nearest topics covered here", "Answered here as well", "cited from", "reference", "Source"),
    *("passage", "characters"),
)
PLAIN_LABELS = (plain.SOURCE, plain.REVIEWED, plain.TOPICS, plain.SUGGESTIONS)
Problems = Iterator[str]
Rule = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Corpus:
    """The source files as their readers give them: passages by id, headings, titles, and every word in small letters."""

    passages: Mapping[str, Passage]
    headings: frozenset[str]
    titles: frozenset[str]
    words: frozenset[str]

    @classmethod
    def read(cls, sources: Sequence[Path]) -> "Corpus":
        """Read source files and folders."""
        passages: dict[str, Passage] = {}
        for item in read_sources(sources):
            if isinstance(item, Passage):
                passages.setdefault(item.id, item)
        texts = [text for p in passages.values() for text in (p.title, p.heading, p.text)]
        headings = frozenset(p.heading for p in passages.values() if p.heading)
        titles = frozenset(p.title for p in passages.values() if p.title)
        return cls(passages, headings, titles, frozenset(word for text in texts for word in words_of(text)))


def violations(record: Mapping[str, Any], corpus: Corpus, question: str, history: Sequence[str] = ()) -> list[str]:
    """Return what in an answer's record may not stand there; an empty list when the guarantee holds for every field."""
    answer = as_sent(record)
    reason, status = answer.get("reason"), answer.get("status")
    rules: dict[str, Rule] = {
        "id": _matches(r"[0-9a-f]{16}"),
        "status": lambda value: value in ("answered", "abstained", "alert"),
        "reason": lambda value: value in ABSTENTION if status == "abstained" else value is None,
        "message": lambda value: value == (ABSTENTION.get(reason) if reason else None),
        "advice": lambda value: value == (ADVICE.get(reason) if reason else None),
        "confidence": _is_number,
        "searched_as": lambda value: value is None or not strange_words(value, corpus, question, history),
        "quotes": lambda value: isinstance(value, list),
        "topics": lambda value: all(title in corpus.titles for title in value),
        "suggestions": lambda value: all(heading in corpus.headings for heading in value),
        "disclaimer": lambda value: value == asdict(DISCLAIMER),
        "alert": lambda value: value is None or value in cards(),
        "index": lambda value: isinstance(value, dict),
        "took_ms": _is_number,
    }
    return [
        *_fields(answer, rules, ""),
        *_index_problems(answer.get("index")),
        *_quotes_problems(answer.get("quotes"), corpus),
    ]


def search_violations(record: Mapping[str, Any], corpus: Corpus) -> list[str]:
    """Return what in the record of POST /v1/search may not stand there."""
    found = as_sent(record)
    rules: dict[str, Rule] = {
        "hits": lambda value: isinstance(value, list),
        "disclaimer": lambda value: value == asdict(DISCLAIMER),
        "index": lambda value: isinstance(value, dict),
    }
    hits = found.get("hits", [])
    numbers: dict[str, Rule] = dict.fromkeys(("dense_rank", "lexical_rank"), lambda value: value is None or _is_number(value))
    per_hit: dict[str, Rule] = {"quote": lambda value: isinstance(value, dict), **numbers}
    per_hit |= dict.fromkeys(("similarity", "lexical"), _is_number)
    return [
        *_fields(found, rules, ""),
        *_index_problems(found.get("index")),
        *(problem for number, hit in enumerate(hits) for problem in _fields(hit, per_hit, f"hits[{number}].")),
        *_quotes_problems([hit.get("quote") for hit in hits], corpus),
    ]


def passage_violations(record: Mapping[str, Any], corpus: Corpus) -> list[str]:
    """Return where the record of GET /v1/passages/{id} is not the passage as its source has it."""
    found = as_sent(record)
    passage = corpus.passages.get(str(found.get("id")))
    if passage is None:
        return [f"the passage {found.get('id')!r} does not stand in the sources"]
    own = {"sha256": text_sha256(passage.text), "permalink": f"/passages/{passage.id}", "disclaimer": asdict(DISCLAIMER)}
    expected = as_sent({**asdict(passage), **own})
    return [f"{name} is {found.get(name)!r}" for name in found.keys() | expected if found.get(name) != expected.get(name)]


def as_sent(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record as a reader gets it, through JSON in UTF-8."""
    sent: dict[str, Any] = json.loads(json.dumps(record, ensure_ascii=False, allow_nan=False).encode("utf-8"))
    return sent


def _fields(record: Any, rules: Mapping[str, Rule], where: str) -> Problems:
    """Yield the fields nobody decided on, those that are missing, and those whose value may not stand there."""
    if not isinstance(record, dict):
        yield f"{where or 'the record'} is {record!r}"
        return
    yield from (f"{where}{name} is a field that no rule allows" for name in record.keys() - rules.keys())
    yield from (f"{where}{name} is missing" for name in rules.keys() - record.keys())
    for name, allows in rules.items():
        if name in record and not allows(record[name]):
            yield f"{where}{name} may not be {record[name]!r}"


def _index_problems(record: Any) -> Problems:
    rules: dict[str, Rule] = {
        "generation": _matches(r"\d{8}T\d{12}-[0-9a-f]{8}"),
        "encoder": _matches(r"[\w./-]+"),
        "passages": _is_number,
    }
    yield from _fields(record, rules, "index.")


def _quotes_problems(quotes: Any, corpus: Corpus) -> Problems:
    for place, quote in enumerate(quotes or ()):
        yield from (f"quotes[{place}].{problem}" for problem in _quote_problems(quote, corpus, place + 1))


def _quote_problems(quote: Any, corpus: Corpus, rank: int) -> Problems:
    citation = quote.get("citation") if isinstance(quote, dict) else None
    passage = corpus.passages.get(str(citation.get("passage_id"))) if isinstance(citation, dict) else None
    if passage is None or not isinstance(citation, dict):
        yield f"citation {citation!r} names no passage of the sources"
        return
    start, end = citation.get("start"), citation.get("end")
    if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(passage.text)):
        yield f"citation has the range {start!r} to {end!r} of {len(passage.text)} characters"
        return
    text = passage.text[start:end]
    rules: dict[str, Rule] = {
        "rank": lambda value: value == rank,
        "text": lambda value: value == text and _on_borders(passage.text, start, end),
        "score": _is_number,
        "highlights": lambda value: all(set(h) == {"start", "end"} and _on_borders(text, **h) for h in value),
        "citation": lambda value: isinstance(value, dict),
    }
    yield from _fields(quote, rules, "")
    yield from _fields(citation, _citation_rules(passage, text, rank), "citation.")


def _citation_rules(passage: Passage, text: str, rank: int) -> dict[str, Rule]:
    def equals(expected: object) -> Rule:
        return lambda value: bool(value == expected)

    return {
        "number": equals(rank),
        "passage_id": equals(passage.id),
        "permalink": equals(f"/passages/{passage.id}"),
        "start": _is_number,
        "end": _is_number,
        "sha256": equals(text_sha256(text)),
        "references": equals([asdict(reference) for reference in passage.references]),
        **{name: equals(getattr(passage, name)) for name in OWN_FIELDS},
    }


def _on_borders(text: str, start: int, end: int) -> bool:
    """Say whether a range lies within the text, holds no white space at its ends and parts no word."""
    if not 0 <= start < end <= len(text) or text[start].isspace() or text[end - 1].isspace():
        return False
    return not any(0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum() for at in (start, end))


def _matches(pattern: str) -> Rule:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII) is not None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def strange_words(searched: str, corpus: Corpus, question: str, history: Sequence[str]) -> list[str]:
    """Return the words and signs of a text searched for that neither the reader, the corpus nor a reviewed list has."""
    said = "\n".join(text for turn in (question, *history) for text in (turn, unicodedata.normalize("NFKC", turn)))
    known = words_of(said) | corpus.words | reviewed_words()
    words = (match.casefold() for match in _RUN.findall(searched))
    strange = [word for word in words if not known & {word, *_singulars(word)}]
    return strange + [sign for sign in _RUN.sub("", searched) if sign not in PUNCTUATION and sign not in said]


def words_of(text: str) -> set[str]:
    """Return the runs of letters and digits of a text in small letters, each also without its accents."""
    bare = "".join(char for char in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(char))
    return {word.casefold() for own in (text, bare) for word in _RUN.findall(own)}


def _singulars(word: str) -> Iterable[str]:
    """Yield the forms whose plural the speller takes for known where the corpus has the singular."""
    if word.endswith("s"):
        yield word[:-1]
    if word.endswith("ies"):
        yield word[:-3] + "y"


@cache
def reviewed_words() -> frozenset[str]:
    """Return the words of the lists we keep: lay words and their names, short forms' meanings, medicines, common English."""
    lists = tomllib.loads((PROJECT / "index" / "lay_terms.toml").read_text(encoding="utf-8"))
    names = [name for entry in lists["lay"] for name in (*entry["say"], *entry["mean"])]
    names += [name for entry in lists["same"] for name in entry["names"]]
    common = [word for word in english() if english().count(word) >= COMMON]
    return frozenset(word for text in (*names, *lists["texting"].values(), *medicines(), *common) for word in words_of(text))


@cache
def cards() -> tuple[dict[str, Any], ...]:
    """Return the cards of qa/red_flags.toml as an answer's record shows them."""
    rules = tomllib.loads((PROJECT / "qa" / "red_flags.toml").read_text(encoding="utf-8"))
    return tuple({"level": family["level"], **family["card"]} for family in rules["family"])


def page_violations(html: str, record: Mapping[str, Any], question: str) -> list[str]:
    """Return what the chat page shows of an answer that is neither the answer's text, the question, nor an interface word.

    The text inside a quote's element must be the quote character for character; the style sheet keeps every space there.
    """
    answer, page = as_sent(record), VisibleText(html)
    quotes = [quote["text"] for quote in answer["quotes"]]
    found = [f"the page shows the quote {shown!r}" for shown in page.quotes if shown not in quotes]
    if len(page.quotes) != len(quotes):
        found.append(f"the page shows {len(page.quotes)} quotes of {len(quotes)}")
    allowed = sorted({*_strings(answer), question, *interface_words()}, key=len, reverse=True)
    return found + [f"the page says {left!r}" for text in page.texts if (left := _left_over(text, allowed))]


class VisibleText(HTMLParser):
    """The text of a page: of each quote's element, and of every other run of text that only inline elements part."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.quotes: list[str] = []
        self.texts = [""]
        self._quoting = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a quote where one begins, or another run."""
        if tag == "blockquote" and ("class", "text") in attrs:
            self._quoting = True
            self.quotes.append("")
        elif tag not in INLINE:
            self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        """End a quote where it ends, or a run."""
        self._quoting = self._quoting and tag != "blockquote"
        if tag not in INLINE:
            self.texts.append("")

    def handle_data(self, data: str) -> None:
        """Take a piece of text."""
        if self._quoting:
            self.quotes[-1] += data
        else:
            self.texts[-1] += data


def terminal_violations(shown: str, record: Mapping[str, Any]) -> list[str]:
    """Return what the terminal shows of an answer that is neither the answer's text nor one of its labels."""
    answer = as_sent(record)
    found = [f"the terminal lacks the quote {quote['text']!r}" for quote in answer["quotes"] if quote["text"] not in shown]
    left = _left_over(shown, sorted({*_strings(answer), *TERMINAL_LABELS}, key=len, reverse=True))
    return found + ([f"the terminal says {left!r}"] if re.search(r"\w", left) else [])


def plain_violations(shown: str, record: Mapping[str, Any]) -> list[str]:
    """Return what the text of a chat protocol says that is neither the answer's, one of its labels, nor an address."""
    answer = as_sent(record)
    found = [f"the text lacks the quote {quote['text']!r}" for quote in answer["quotes"] if quote["text"] not in shown]
    own = sorted({*_strings(answer), *PLAIN_LABELS}, key=len, reverse=True)
    left = re.sub(r"(?:https?://|urn:)\S+", "", shown)
    return found + ([f"the text says {left!r}"] if re.search(r"\w", left := _left_over(left, own)) else [])


def _left_over(text: str, allowed: Iterable[str]) -> str:
    """Return what is left of a text without the allowed ones, the longest first, and without numbers and white space."""
    for own in allowed:
        if own and own in text:
            text = re.sub(rf"(?<!\w){re.escape(own)}(?!\w)" if own.isalnum() else re.escape(own), "\x00", text)
    return re.sub(r"[\d%\s\x00]", "", text)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for own in value.values() for text in _strings(own))
    elif isinstance(value, list):
        yield from (text for own in value for text in _strings(own))


@cache
def interface_words() -> frozenset[str]:
    """Return the fixed texts of the pages: the interface words, and what the templates hold between tags and in literals."""
    found: set[str] = {DISCLAIMER.text, *STARTERS, *AGES}
    found.update(part for text in words().values() for part in re.split(r"\{\w+\}", text))
    for path in sorted((PROJECT / "web" / "templates").glob("*.html")):
        source = re.sub(r"\{#.*?#\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        found.update(text for code in _CODE.findall(source) for text in re.findall(r'"([^"]+)"', code))
        plain = VisibleText(_CODE.sub("\x00", source))
        found.update(part for text in plain.texts for part in text.split("\x00"))
    return frozenset(text.strip() for text in found if re.search(r"\w", text) and not re.search(r"[<>=]", text)) | {",", "("}
