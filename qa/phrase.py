"""Phrases a clinician can read, and where they occur in a message.

A phrase is written in words: ``pins and needles``. ``weak*`` is any word that begins so; ``leg|legs`` is either word;
``(off|in front of)`` chooses between several words; ``{numb}`` is any phrase of the list of that name; ``#8-16`` is a
number in that range; ``lost ... control`` lets up to four words stand between; ``{numb} + {saddle}`` wants both, in
either order, close together in one clause.

Spelling is vocabulary.py's; negation, time and questions are assertion.py's.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from qa.message import normal_word

GAP = 4  # words that "..." may stand for; chosen on the examples in red_flags.toml
NEAR = 6  # words between the two sides of "+"; chosen likewise
_CHOICE = re.compile(r"\(([^()]*)\)")
_ITEM = re.compile(r"\{[a-z_]+\}|#\d+(?:\.\d+)?-\d+(?:\.\d+)?|[^\W_]+\*?")


class PhraseError(ValueError):
    """A phrase that is not written as this module's grammar asks."""


class Span(NamedTuple):
    """A match: its first and last word in the line searched, and the set of the message's places that took part.

    The set is a whole number: bit n stands for place n.
    """

    start: int
    end: int
    places: int


@dataclass(frozen=True, slots=True)
class Item:
    """One place of a phrase: the keys that fill it, and how many words may stand before it."""

    keys: frozenset[str]
    reach: int


@dataclass(frozen=True, eq=False)
class Phrase:
    """A parsed phrase: parts that must stand near each other, each a run of items in order."""

    text: str
    parts: tuple[tuple[Item, ...], ...]

    @cached_property
    def keys(self) -> frozenset[str]:
        """Every word, stem, number range and {name} the phrase mentions."""
        return frozenset(key for part in self.parts for item in part for key in item.keys)

    @cached_property
    def needed(self) -> frozenset[str]:
        """The keys without which the phrase cannot occur."""
        return frozenset(key for part in self.parts for item in part if len(item.keys) == 1 for key in item.keys)

    @cached_property
    def choices(self) -> tuple[frozenset[str], ...]:
        """The sets of keys of which one each is needed."""
        return tuple(item.keys for part in self.parts for item in part if len(item.keys) > 1)


class Phrasebook:
    """Named lists of phrases, each filed under its least common place, so that most are never tried.

    A phrase may use ``{name}`` for any list above its own.
    """

    def __init__(self, lists: Mapping[str, Iterable[Phrase]]) -> None:
        self.names = tuple(lists)
        self._by_key: dict[str, dict[int, list[Phrase]]] = {}
        everything = [phrase for phrases in lists.values() for phrase in phrases]
        uses = Counter(key for phrase in everything for key in phrase.keys)
        for rank, phrases in enumerate(lists.values()):
            for phrase in phrases:
                for key in _rarest(phrase, uses):
                    self._by_key.setdefault(key, {}).setdefault(rank, []).append(phrase)

    def search(self, line: "Line") -> dict[str, list[Span]]:
        """Return where each list that occurs in the line occurs, without repeats; add ``{name}`` to the line for each."""
        waiting: dict[int, list[list[Phrase]]] = {}
        for key in line.index:
            self._await(key, waiting)
        ranks = list(waiting)
        heapify(ranks)
        found: dict[str, list[Span]] = {}
        while ranks:
            rank = heappop(ranks)
            spans: dict[Span, None] = {}
            for phrases in waiting[rank]:
                for phrase in phrases:
                    if line.could_hold(phrase):
                        spans.update(dict.fromkeys(line.find(phrase)))
            if spans:
                name = self.names[rank]
                found[name] = list(spans)
                line.add(f"{{{name}}}", spans)
                for new in self._await(f"{{{name}}}", waiting):
                    heappush(ranks, new)
        return found

    def search_all(self, lines: Iterable["Line"]) -> dict[str, list[Span]]:
        """Return where each list occurs in any of the lines."""
        found: dict[str, list[Span]] = {}
        for line in lines:
            for name, spans in self.search(line).items():
                found.setdefault(name, []).extend(spans)
        return found

    def _await(self, key: str, waiting: dict[int, list[list[Phrase]]]) -> list[int]:
        """Put the phrases filed under a key on the waiting list, and return the ranks that were not on it yet."""
        new: list[int] = []
        for rank, phrases in self._by_key.get(key, {}).items():
            if rank in waiting:
                waiting[rank].append(phrases)
            else:
                waiting[rank] = [phrases]
                new.append(rank)
        return new


def _rarest(phrase: Phrase, uses: Mapping[str, int]) -> frozenset[str]:
    """Return the keys of the place that the fewest phrases share, for want of knowing how often people use each word."""
    return min((item.keys for part in phrase.parts for item in part), key=lambda keys: sum(uses[key] for key in keys))


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
    if word[0] not in "{#" and word[:1].isdecimal() != word[-1:].isdecimal() and word[-1:] != "*":
        raise PhraseError(f"{word!r} is never one word of a message; write the number and the letters apart")
    return word if word[0] in "{#" else normal_word(word)


@dataclass(frozen=True, slots=True)
class Line:
    """The words of one clause: where each key begins, and the words a "+" may not reach across.

    Words are counted from the start of the message; ``end`` is the number of the word after the last. ``free`` says how many
    words that mean nothing follow each word: a phrase may pass over them. ``barriers`` is a set of words, written as a
    whole number like the places of a Span.
    """

    end: int
    free: Sequence[int]
    barriers: int = 0
    index: dict[str, dict[int, list[Span]]] = field(default_factory=dict)
    _merged: dict[frozenset[str], dict[int, list[Span]]] = field(default_factory=dict)

    def add(self, key: str, spans: Iterable[Span]) -> None:
        """Record matches under a key, so that later phrases can use them."""
        places = self.index.setdefault(key, {})
        for span in spans:
            places.setdefault(span.start, []).append(span)

    def could_hold(self, phrase: Phrase) -> bool:
        """Tell, before any search, whether every place of the phrase has a word to fill it."""
        present = self.index.keys()
        return phrase.needed <= present and not any(map(present.isdisjoint, phrase.choices))

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
        spans = [span for found in self._starts(part[0]).values() for span in found]
        free, end = self.free, self.end
        for item in part[1:]:
            if not spans:
                break
            starts = self._starts(item)
            reach = item.reach
            spans = [
                Span(a.start, b.end, a.places | b.places)
                for a in spans
                for place in range(a.end + 1, min(a.end + max(reach, free[a.end]) + 2, end))
                if place in starts
                for b in starts[place]
            ]
        return spans

    def _starts(self, item: Item) -> dict[int, list[Span]]:
        """Return where any key of the item begins; a key added later comes from a list that no earlier phrase uses."""
        if len(item.keys) == 1:
            (key,) = item.keys
            return self.index.get(key, {})
        merged = self._merged.get(item.keys)
        if merged is None:
            merged = self._merged[item.keys] = {}
            for key in item.keys & self.index.keys():
                for place, spans in self.index[key].items():
                    merged[place] = merged[place] + spans if place in merged else spans
        return merged

    def _near(self, span: Span, others: Mapping[int, list[Span]]) -> list[Span]:
        first = max(0, span.start - 3 * NEAR)  # a match is at most some words long; the distance is checked below
        return [
            b
            for place in range(first, min(span.end + NEAR + 2, self.end))
            if place in others
            for b in others[place]
            if self._together(span, b)
        ]

    def _together(self, a: Span, b: Span) -> bool:
        if a.places & b.places:
            return False
        left, right = (a, b) if a.start <= b.start else (b, a)
        between = right.start - left.end - 1
        return between <= NEAR and (between <= 0 or not self.barriers >> (left.end + 1) & ((1 << between) - 1))


def _by_start(spans: Iterable[Span]) -> dict[int, list[Span]]:
    index: dict[int, list[Span]] = {}
    for span in spans:
        index.setdefault(span.start, []).append(span)
    return index


def _union(a: Span, b: Span) -> Span:
    return Span(min(a.start, b.start), max(a.end, b.end), a.places | b.places)
