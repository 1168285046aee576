"""The reviewed list of lay words with their medical names (lay_terms.toml), and finding its phrases in a run of words.

A phrase is matched on whole words, the longest first; a plural is matched by its singular. "my" in a phrase stands for any
possessive or article, so "put my back out" also finds "put her back out".
"""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from index.vocabulary import WORD, plain

_LIST = Path(__file__).with_name("lay_terms.toml")
_WHOSE = frozenset("my his her your our their its the a an me mum's dad's".split())


class LayTermsError(Exception):
    """The list of lay words is malformed; the message names the entry."""


@dataclass(frozen=True, slots=True)
class LayTerm:
    """A lay phrase and its medical names; not meant where one of ``not_before`` follows or one of ``not_after`` precedes."""

    phrase: tuple[str, ...]
    names: tuple[str, ...]
    not_before: frozenset[str]
    not_after: frozenset[str]


@lru_cache(maxsize=1)
def _table() -> dict[str, object]:
    return tomllib.loads(_LIST.read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def lay_terms() -> dict[str, tuple[LayTerm, ...]]:
    """Return the list's phrases by their first word, the longest first; raise LayTermsError where it is malformed."""
    by_first: dict[str, list[LayTerm]] = {}
    for term in read_terms(_table()):
        by_first.setdefault(term.phrase[0], []).append(term)
    return {first: tuple(sorted(terms, key=lambda term: -len(term.phrase))) for first, terms in by_first.items()}


@lru_cache(maxsize=1)
def texting() -> dict[str, str]:
    """Return the everyday words behind forms typed for short on purpose ("wot"), which no spelling rule would find."""
    found = _table().get("texting", {})
    if not isinstance(found, dict) or not all(isinstance(meant, str) for meant in found.values()):
        raise LayTermsError(f"{_LIST.name}: expected [texting] with a string for each form, found {found!r}")
    return found


@lru_cache(maxsize=1)
def lay_words() -> frozenset[str]:
    """Return every word of the list, lay or medical: right as it is, whatever the corpus holds."""
    terms = [term for own in lay_terms().values() for term in own]
    said = {word for term in terms for word in term.phrase}.union(*(term.names for term in terms))
    return frozenset(plain(word) for word in set(WORD.findall("\n".join(said))))


def matches(words: Sequence[str]) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Yield where lay phrases stand, first word and one past the last, with their medical names; none overlap."""
    at = 0
    while at < len(words):
        term = _term_at(words, at)
        if term is None:
            at += 1
        else:
            yield at, at + len(term.phrase), term.names
            at += len(term.phrase)


def _term_at(words: Sequence[str], at: int) -> LayTerm | None:
    for first in _singulars(words[at]):
        for term in lay_terms().get(first, ()):
            end = at + len(term.phrase)
            if end > len(words) or not all(_is(a, b) for a, b in zip(words[at:end], term.phrase, strict=True)):
                continue
            after = words[end] if end < len(words) else ""
            if after not in term.not_before and (words[at - 1] if at else "") not in term.not_after:
                return term
    return None


def _is(word: str, listed: str) -> bool:
    return listed in _singulars(word) or (listed == "my" and word in _WHOSE)


def _singulars(word: str) -> list[str]:
    forms = [word]
    if word.endswith("'s"):
        forms.append(word[:-2])
    if len(word) > 2 and word.endswith("s") and not word.endswith("ss"):
        forms.append(word[:-1])
    if len(word) > 4 and word.endswith("es"):
        forms.append(word[:-2])
    return forms


def read_terms(table: dict[str, object]) -> Iterator[LayTerm]:
    """Yield the phrases of a list as read from TOML, or raise LayTermsError."""
    for entry in _entries(table, "lay"):
        phrases, names = _strings(entry, "say"), _strings(entry, "mean")
        before, after = (frozenset(_strings(entry, key, needed=False)) for key in ("not_before", "not_after"))
        for phrase in phrases:
            yield LayTerm(tuple(phrase.split()), names, before, after)
    for entry in _entries(table, "same"):
        names = _strings(entry, "names")
        for name in names:
            others = tuple(other for other in names if other != name)
            yield LayTerm(tuple(name.split()), others, frozenset(), frozenset())


def _entries(table: dict[str, object], kind: str) -> list[dict[str, object]]:
    found = table.get(kind, [])
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise LayTermsError(f"{_LIST.name}: expected [[{kind}]] tables, found {found!r}")
    return found


def _strings(entry: dict[str, object], key: str, *, needed: bool = True) -> tuple[str, ...]:
    found = entry.get(key, [])
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found) or (needed and not found):
        raise LayTermsError(f"{_LIST.name}: expected a list of strings for {key!r} in {entry!r}")
    return tuple(found)
