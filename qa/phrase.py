"""Phrases a clinician can read, and where they occur in a message.

A phrase is written in words: ``pins and needles``. ``weak*`` is any word that begins so; ``leg|legs`` is either word;
``(off|in front of)`` chooses between several words; ``{numb}`` is any phrase of the list of that name; ``#8-16`` is a
number in that range; ``lost ... control`` lets up to four words stand between; ``{numb} + {saddle}`` wants both, in
either order, close together in one clause.

Spelling is vocabulary.py's; negation, time and questions are assertion.py's.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

from qa.message import normal_word

GAP = 4  # words that "..." may stand for; chosen on the examples in red_flags.toml
NEAR = 6  # words between the two sides of "+"; chosen likewise
_NOT_COUNTED: Mapping[str, int] = {}
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


Starts = dict[int, tuple[Span, ...]]  # by the word at which they begin


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
    def items(self) -> tuple[Item, ...]:
        """The places of all parts, in the order of writing."""
        return tuple(item for part in self.parts for item in part)

    @cached_property
    def keys(self) -> frozenset[str]:
        """Every word, stem, number range and {name} the phrase mentions."""
        return frozenset(key for item in self.items for key in item.keys)


class _Filed(NamedTuple):
    """A phrase's number, the rank of its list, and the sets of places it needs: those that only words fill, and all."""

    rank: int
    plain: int
    needed: int
    phrase: int


class _Entry(NamedTuple):
    """What a key does: the places it fills, the ranks of the lists that hold it by itself, and the phrases filed under it."""

    fills: int
    alone: list[int]
    filed: list[_Filed]


class Phrasebook:
    """Named lists of phrases, each filed under its least common place, so that most are never tried.

    A phrase may use ``{name}`` for any list above its own. Every place but those under which phrases are filed has a number,
    and a set of places is a whole number with their bits: a phrase occurs only in a line that fills all of its places.
    What ``file_phrases`` wrote is read key by key, and each phrase, as it is first needed.
    """

    def __init__(self, filing: Mapping[str, Any], fillers: frozenset[str] = frozenset()) -> None:
        self.names: tuple[str, ...] = tuple(filing["names"])
        self._keys = tuple(f"{{{name}}}" for name in self.names)
        self._texts: Sequence[str] = filing["phrases"]
        self._fillers = fillers
        self._written: Mapping[str, str] = filing["entries"]
        self._entries: dict[str, _Entry] = {}
        self._phrases: dict[int, Phrase] = {}

    def _entry(self, key: str) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is None and key in self._written:
            fills, alone, filed = json.loads(self._written[key])
            read = [_Filed(rank, _as_set(plain), _as_set(plain + named), number) for rank, plain, named, number in filed]
            entry = self._entries[key] = _Entry(_as_set(fills), alone, read)
        return entry

    def _phrase(self, number: int) -> Phrase:
        phrase = self._phrases.get(number)
        if phrase is None:
            (phrase,) = parse(self._texts[number], self._fillers)
            self._phrases[number] = phrase
        return phrase

    def search(self, line: "Line") -> dict[str, list[Span]]:
        """Return where each list that occurs in the line occurs, without repeats; add ``{name}`` to the line for each."""
        entry_of = self._entry
        known: list[tuple[_Entry, Starts]] = []
        filled = 0
        for key, places in line.index.items():
            if entry := entry_of(key):
                if entry[0]:
                    filled |= entry[0]
                if entry[1] or entry[2]:
                    known.append((entry, places))
        reached = _Reached()
        for entry, places in known:
            reached.through(entry, places, filled)
        spans_of, phrases_of = reached.spans, reached.phrases
        ranks = list(spans_of.keys() | phrases_of.keys())
        heapify(ranks)
        found: dict[str, list[Span]] = {}
        while ranks:
            rank = heappop(ranks)
            spans = spans_of.get(rank, [])
            if rank in phrases_of:
                for needed, number in phrases_of[rank]:
                    if needed & filled == needed:
                        spans += line.find(self._phrase(number))
            if spans:
                found[self.names[rank]] = spans = list(dict.fromkeys(spans)) if len(spans) > 1 else spans
                if entry := entry_of(self._keys[rank]):
                    filled |= entry[0]
                    for new in reached.through(entry, line.add(self._keys[rank], spans), filled):
                        heappush(ranks, new)
        return found


class _Reached:
    """By rank of their list: where keys occur that are phrases by themselves, and the phrases that may occur."""

    def __init__(self) -> None:
        self.spans: dict[int, list[Span]] = {}
        self.phrases: dict[int, list[tuple[int, int]]] = {}

    def through(self, entry: _Entry, places: Starts, filled: int) -> list[int]:
        """Add what a key at these places reaches, and return the ranks that were not reached before."""
        spans, phrases = self.spans, self.phrases
        new: list[int] = []
        _, alone, filed = entry
        for rank in alone:
            if rank not in spans:
                spans[rank] = []
                if rank not in phrases:
                    new.append(rank)
            for starting in places.values():
                spans[rank] += starting
        for rank, plain, needed, phrase in filed:
            if plain & filled == plain:
                if rank not in phrases:
                    phrases[rank] = []
                    if rank not in spans:
                        new.append(rank)
                phrases[rank].append((needed, phrase))
        return new


def file_phrases(lists: Mapping[str, Iterable[Phrase]], often: Mapping[str, int] = _NOT_COUNTED) -> dict[str, object]:
    """Return how a phrasebook files its lists' phrases, as JSON can hold it.

    For each key it holds, as JSON of its own, the numbers of the places it fills, the ranks of the lists that hold it by
    itself, and the phrases filed under it with the places that these need.
    """
    alone: defaultdict[str, list[int]] = defaultdict(list)
    filed: defaultdict[str, list[tuple[int, list[int], list[int], int]]] = defaultdict(list)
    fills: defaultdict[str, list[int]] = defaultdict(list)
    uses = _Uses(lists, often)
    numbers = _numbered(others for phrases in lists.values() for phrase in phrases for others in uses.filing(phrase)[1])
    texts: list[str] = []
    for rank, phrases in enumerate(lists.values()):
        for phrase in phrases:
            rarest, others = uses.filing(phrase)
            places = sorted({numbers[keys]: keys for keys in others}.items())
            plain, named = ([n for n, keys in places if _names(keys) == by_name] for by_name in (False, True))
            for key in rarest:
                if others:
                    filed[key].append((rank, plain, named, len(texts)))
                else:
                    alone[key].append(rank)
            texts.append(phrase.text)
    for place, number in numbers.items():
        for key in place:
            fills[key].append(number)
    keys = sorted({*fills, *alone, *filed})
    entries = {key: json.dumps([sorted(fills[key]), alone[key], filed[key]], separators=(",", ":")) for key in keys}
    return {"names": list(lists), "phrases": texts, "entries": entries}


def _names(keys: Iterable[str]) -> bool:
    return any(key[0] == "{" for key in keys)


def _numbered(places: Iterable[frozenset[str]]) -> dict[frozenset[str], int]:
    """Give each distinct place a number, the low ones to those met most often, so that most sets are small numbers."""
    return {keys: number for number, (keys, _) in enumerate(Counter(places).most_common())}


def _as_set(numbers: Iterable[int]) -> int:
    places = 0
    for number in numbers:
        places |= 1 << number
    return places


class _Uses:
    """How often each key is met: in messages that were counted, and for want of those in the phrases themselves."""

    def __init__(self, lists: Mapping[str, Iterable[Phrase]], often: Mapping[str, int]) -> None:
        self._in_phrases = Counter(key for phrases in lists.values() for phrase in phrases for key in phrase.keys)
        self._often = dict(often)
        for name, phrases in lists.items():
            self._often[f"{{{name}}}"] = sum(min(map(self._of, p.items)) for p in phrases)

    def _of(self, item: Item) -> int:
        return sum(self._often.get(key, 0) for key in item.keys)

    def filing(self, phrase: Phrase) -> tuple[frozenset[str], list[frozenset[str]]]:
        """Return the keys of the place of a phrase that is filled least often, and those of its other places."""
        places = sorted(phrase.items, key=lambda item: (self._of(item), sum(self._in_phrases[key] for key in item.keys)))
        return places[0].keys, [item.keys for item in places[1:]]


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


@dataclass(slots=True)
class Line:
    """Words of a message: where each key begins, where each word's clause ends, and the words a "+" may not reach across.

    Words are counted from the start of the message; ``ends`` gives for each the number of the word after the last of its
    clause: no phrase goes on beyond. ``free`` says how many words that mean nothing follow each word: a phrase may pass
    over them. ``barriers`` is a set of words, written as a whole number like the places of a Span.
    """

    ends: Sequence[int]
    free: Sequence[int]
    barriers: int = 0
    index: dict[str, Starts] = field(default_factory=dict)
    _merged: dict[frozenset[str], Starts] = field(default_factory=dict)

    def add(self, key: str, spans: Iterable[Span]) -> Starts:
        """Record matches under a key, so that later phrases can use them, and return them by where they start."""
        starts = self.index[key] = _by_start(spans)
        return starts

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
        free, ends = self.free, self.ends
        for item in part[1:]:
            if not spans:
                break
            starts = self._starts(item)
            reach = item.reach
            spans = [
                Span(a.start, b.end, a.places | b.places)
                for a in spans
                for place in range(a.end + 1, min(a.end + max(reach, free[a.end]) + 2, ends[a.end]))
                if place in starts
                for b in starts[place]
            ]
        return spans

    def _starts(self, item: Item) -> Starts:
        """Return where any key of the item begins; a key added later comes from a list that no earlier phrase uses."""
        if len(item.keys) == 1:
            (key,) = item.keys
            return self.index.get(key, {})
        merged = self._merged.get(item.keys)
        if merged is None:
            merged = self._merged[item.keys] = {}
            for key in item.keys & self.index.keys():
                for place, spans in self.index[key].items():
                    merged[place] = (*merged[place], *spans) if place in merged else spans
        return merged

    def _near(self, span: Span, others: Starts) -> list[Span]:
        first = max(0, span.start - 3 * NEAR)  # a match is at most some words long; the distance is checked below
        return [
            b
            for place in range(first, min(span.end + NEAR + 2, self.ends[span.end]))
            if place in others
            for b in others[place]
            if self._together(span, b)
        ]

    def _together(self, a: Span, b: Span) -> bool:
        if a.places & b.places or self.ends[a.start] != self.ends[b.start]:
            return False
        left, right = (a, b) if a.start <= b.start else (b, a)
        between = right.start - left.end - 1
        return between <= NEAR and (between <= 0 or not self.barriers >> (left.end + 1) & ((1 << between) - 1))


def _by_start(spans: Iterable[Span]) -> Starts:
    index: Starts = {}
    for span in spans:
        start = span.start
        index[start] = (*index[start], span) if start in index else (span,)
    return index


def _union(a: Span, b: Span) -> Span:
    return Span(min(a.start, b.start), max(a.end, b.end), a.places | b.places)
