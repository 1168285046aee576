"""Phrases a clinician can read, and where they occur in a message.

A phrase is written in words: ``pins and needles``. ``weak*`` is any word that begins so; ``leg|legs`` is either word;
``(off|in front of)`` chooses between several words; ``{numb}`` is any phrase of the list of that name; ``#8-16`` is a
number in that range; ``lost ... control`` lets up to four words stand between; ``{numb} + {saddle}`` wants both, in
either order, close together in one clause.

Spelling is forgiven by one edit on long words (see ``Vocabulary``). Negation, time and questions are assertion.py's.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from qa.message import normal_word

GAP = 4  # words that "..." may stand for; chosen on the examples in red_flags.toml
NEAR = 6  # words between the two sides of "+"; chosen likewise
_LONG_WORD = 5  # from this length a word may differ by any one edit, its first letter kept
_LONG_STEM = 6  # shorter stems would match too many honest words by one edit
_FREE_FIRST_LETTER = 8  # from this length the first letter may differ too
_CHOICE = re.compile(r"\(([^()]*)\)")
_ITEM = re.compile(r"\{[a-z_]+\}|#\d+(?:\.\d+)?-\d+(?:\.\d+)?|[^\W_]+\*?")


class PhraseError(ValueError):
    """A phrase that is not written as this module's grammar asks."""


class Span(NamedTuple):
    """A match: first and last place, and every place that took part, counted in the line's words."""

    start: int
    end: int
    places: frozenset[int]


@dataclass(frozen=True, slots=True)
class Item:
    """One place of a phrase: the keys that fill it, and how many words may stand before it."""

    keys: frozenset[str]
    reach: int


@dataclass(frozen=True, slots=True)
class Phrase:
    """A parsed phrase: parts that must stand near each other, each a run of items in order."""

    text: str
    parts: tuple[tuple[Item, ...], ...]

    @property
    def keys(self) -> frozenset[str]:
        """Every word, stem, number range and {name} the phrase mentions."""
        return frozenset(key for part in self.parts for item in part for key in item.keys)


class Phrasebook:
    """Named lists of phrases, arranged by the keys that can open them, so that most are never tried."""

    def __init__(self, lists: Mapping[str, Iterable[Phrase]]) -> None:
        self.names = tuple(lists)
        self._by_key: dict[str, list[tuple[str, Phrase]]] = {}
        for name, phrases in lists.items():
            for phrase in phrases:
                for key in phrase.parts[0][0].keys:
                    self._by_key.setdefault(key, []).append((name, phrase))

    def search(self, line: "Line") -> dict[str, list[Span]]:
        """Return where each list that occurs in the line occurs, without repeats."""
        found: dict[str, dict[Span, None]] = {}
        for key in self._by_key.keys() & line.index.keys():
            for name, phrase in self._by_key[key]:
                if line.could_hold(phrase):
                    found.setdefault(name, {}).update(dict.fromkeys(line.find(phrase)))
        return {name: list(spans) for name, spans in found.items() if spans}


def parse(text: str, fillers: frozenset[str] = frozenset()) -> tuple[Phrase, ...]:
    """Read a phrase, one for each of its bracketed choices; words in ``fillers`` are left out, as from messages."""
    choice = _CHOICE.search(text)
    if choice:
        before, after = text[: choice.start()], text[choice.end() :]
        return tuple(p for option in choice[1].split("|") for p in parse(before + option + after, fillers))
    parts = tuple(_parse_part(part, fillers) for part in text.split(" + "))
    words, kept = len(text.split()), sum(len(part) for part in parts)
    if not all(parts) or (kept == 1 and words > 1):
        raise PhraseError(f"too little is left of the phrase {text!r} without its small words; add a word that counts")
    return (Phrase(text, parts),)


def _parse_part(text: str, fillers: frozenset[str]) -> tuple[Item, ...]:
    items: list[Item] = []
    reach = 0
    for piece in text.split():
        if piece == "...":
            reach = GAP
            continue
        keys = frozenset(_key(word) for word in piece.split("|"))
        if keys & fillers and not keys <= fillers:
            raise PhraseError(f"{piece!r} in {text!r} mixes words that count with small ones, which are never seen")
        if not keys <= fillers:
            items.append(Item(keys, reach if items else 0))
            reach = 0
    return tuple(items)


def _key(word: str) -> str:
    if not _ITEM.fullmatch(word):
        raise PhraseError(f"{word!r} is no word, stem*, {{name}} or #low-high; see the head of qa/phrase.py")
    return word if word[0] in "{#" else normal_word(word)


class Vocabulary:
    """Which keys a word of a message fills: itself, its stems, its number ranges, or one spelling slip away from them.

    ``lookalikes`` are honest words that would otherwise be taken for a misspelling.
    """

    def __init__(self, phrases: Iterable[Phrase], lookalikes: frozenset[str]) -> None:
        keys = {key for phrase in phrases for key in phrase.keys}
        self._words = {key for key in keys if key[0] not in "{#" and not key.endswith("*")}
        self._stems = {key[:-1] for key in keys if key.endswith("*")}
        self._ranges = {key: _bounds(key) for key in keys if key.startswith("#")}
        self._lookalikes = lookalikes
        self._slips = _shortened(self._words)
        self._stem_slips = _shortened(stem for stem in self._stems if len(stem) >= _LONG_STEM)
        self.keys_of = lru_cache(maxsize=8192)(self._keys_of)

    def _keys_of(self, word: str) -> frozenset[str]:
        if word[0].isdecimal():
            value = float(word)
            keys = {key for key, (low, high) in self._ranges.items() if low <= value <= high}
            return frozenset(keys | ({word} & self._words))
        keys = {f"{word[:size]}*" for size in range(2, len(word) + 1) if word[:size] in self._stems}
        if word in self._words:
            keys.add(word)
        if not keys and word not in self._lookalikes and 3 < len(word) < 20:
            keys = self._misspelt(word)
        return frozenset(keys)

    def _misspelt(self, word: str) -> set[str]:
        found = {near for near in _neighbours(word, self._slips) if is_slip(word, near)}
        for size in range(_LONG_STEM - 1, len(word) + 1):
            head = word[:size]
            found |= {f"{stem}*" for stem in _neighbours(head, self._stem_slips) if is_slip(head, stem)}
        return found


def is_slip(word: str, meant: str) -> bool:
    """Tell whether ``word`` is ``meant`` with one letter added, lost, changed or swapped with its neighbour.

    Four-letter words may only have a swap or a doubled letter; shorter ones must be exact.
    """
    if word == meant:
        return True
    swapped = len(word) == len(meant) and _is_swap(word, meant)
    if len(meant) < _LONG_WORD:
        return len(meant) == 4 and (swapped or _is_doubled(word, meant))
    if swapped:
        return True
    if word[0] != meant[0] and len(meant) < _FREE_FIRST_LETTER:
        return False
    return _one_edit(word, meant)


def _is_swap(word: str, meant: str) -> bool:
    differing = [i for i in range(len(word)) if word[i] != meant[i]]
    return (
        len(differing) == 2
        and differing[1] == differing[0] + 1
        and word[differing[0]] == meant[differing[1]]
        and word[differing[1]] == meant[differing[0]]
    )


def _is_doubled(word: str, meant: str) -> bool:
    return any(word == meant[: i + 1] + meant[i:] for i in range(len(meant)))


def _one_edit(word: str, meant: str) -> bool:
    if abs(len(word) - len(meant)) > 1:
        return False
    same = 0
    while same < min(len(word), len(meant)) and word[same] == meant[same]:
        same += 1
    if len(word) == len(meant):
        return word[same + 1 :] == meant[same + 1 :]
    longer, shorter = (word, meant) if len(word) > len(meant) else (meant, word)
    return longer[same + 1 :] == shorter[same:]


def _shortened(words: Iterable[str]) -> dict[str, set[str]]:
    """Index words under themselves and under each form with one letter left out."""
    index: dict[str, set[str]] = {}
    for word in words:
        if len(word) >= 4:
            for form in _forms(word):
                index.setdefault(form, set()).add(word)
    return index


def _neighbours(word: str, index: Mapping[str, set[str]]) -> set[str]:
    return {near for form in _forms(word) for near in index.get(form, ())}


def _forms(word: str) -> set[str]:
    return {word, *(word[:i] + word[i + 1 :] for i in range(len(word)))}


def _bounds(key: str) -> tuple[float, float]:
    low, high = key[1:].split("-")
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Line:
    """Words to search: where each key begins, the clause of each word, and the words a "+" may not reach across."""

    clauses: Sequence[int]
    barriers: frozenset[int] = frozenset()
    index: dict[str, dict[int, list[Span]]] = field(default_factory=dict)

    def add(self, key: str, spans: Iterable[Span]) -> None:
        """Record matches under a key, so that later phrases can use them."""
        for span in spans:
            self.index.setdefault(key, {}).setdefault(span.start, []).append(span)

    def could_hold(self, phrase: Phrase) -> bool:
        """Tell, before any search, whether every place of the phrase has a word to fill it."""
        present = self.index.keys()
        return not any(present.isdisjoint(item.keys) for part in phrase.parts for item in part)

    def find(self, phrase: Phrase) -> list[Span]:
        """Return every place where the phrase occurs, some perhaps twice."""
        spans = self._part(phrase.parts[0])
        for part in phrase.parts[1:]:
            if not spans:
                return []
            others = _by_start(self._part(part))
            spans = [_union(a, b) for a in spans for b in self._near(a, others)]
        return spans

    def _part(self, part: tuple[Item, ...]) -> list[Span]:
        spans = [s for starts in self._starts(part[0]) for found in starts.values() for s in found]
        for item in part[1:]:
            starts = self._starts(item)
            spans = [
                _union(a, b)
                for a in spans
                for place in range(a.end + 1, min(a.end + item.reach + 2, len(self.clauses)))
                if self.clauses[place] == self.clauses[a.end]
                for by_start in starts
                for b in by_start.get(place, ())
            ]
        return spans

    def _starts(self, item: Item) -> list[dict[int, list[Span]]]:
        return [self.index[key] for key in item.keys if key in self.index]

    def _near(self, span: Span, others: Mapping[int, list[Span]]) -> list[Span]:
        first = max(0, span.start - 3 * NEAR)  # a match is at most some words long; the distance is checked below
        places = range(first, min(span.end + NEAR + 2, len(self.clauses)))
        return [b for place in places for b in others.get(place, ()) if self._together(span, b)]

    def _together(self, a: Span, b: Span) -> bool:
        if self.clauses[a.start] != self.clauses[b.start] or a.places & b.places:
            return False
        left, right = (a, b) if a.start <= b.start else (b, a)
        between = range(left.end + 1, right.start)
        return len(between) <= NEAR and self.barriers.isdisjoint(between)


def _by_start(spans: Iterable[Span]) -> dict[int, list[Span]]:
    index: dict[int, list[Span]] = {}
    for span in spans:
        index.setdefault(span.start, []).append(span)
    return index


def _union(a: Span, b: Span) -> Span:
    return Span(min(a.start, b.start), max(a.end, b.end), a.places | b.places)
