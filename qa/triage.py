"""Red flags, read before and apart from retrieval: a message in, one fixed card or nothing out.

Words become phrases, phrases concepts, concepts families (red_flags.toml); concepts that the message denies, fears,
asks about or tells of the past are dropped (assertion.py). There is no model and no judgement of the reader: the card's
words are fixed. When in doubt the more urgent card is shown.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from qa.answer import Alert, Level
from qa.assertion import assess
from qa.flags import Family, Rules, load_rules
from qa.message import Message, read
from qa.phrase import Line, Span, Starts

URGENCY: tuple[Level, ...] = ("emergency", "crisis", "urgent")
_PASSED_OVER = 2  # words that mean nothing ("um", "honestly") which may stand between two words of a phrase
_MANY = 512  # words of a message whose matches are made once for all
_EVERY_WORD = tuple((Span(place, place, 1 << place),) for place in range(_MANY))
_NO_KEYS: frozenset[str] = frozenset()


def triage(question: str) -> Alert | None:
    """Return the card of the most urgent red flag in a message, or None."""
    families = matching_families(question)
    return families[0].alert if families else None


def matching_families(question: str) -> tuple[Family, ...]:
    """Return every family that a message matches, the most urgent first, then in the order of the file."""
    rules = load_rules()
    message = read(question, rules.vocabulary.parts_of)
    keys = [rules.vocabulary.keys_of(token.word) for token in message.tokens]
    words = _sentences(message, keys, rules)
    found = _find_concepts(message, keys, rules.masks.search(words), rules)
    likely = [family for family in rules.families if family.could_match(found.keys())]
    if not likely:
        return ()
    present = _asserted(message, words, found, rules)
    matching = [family for family in likely if family.could_match(present) and not family.unless & present]
    return tuple(sorted(matching, key=lambda family: URGENCY.index(family.alert.level)))


def _asserted(message: Message, words: Line, found: dict[str, list[Span]], rules: Rules) -> set[str]:
    """Return the names of the concepts found that the message says to be so."""
    hits: dict[str, list[Span]] = {name: [] for name in rules.language.names} | rules.language.search(words)
    reading = assess(message, hits, {span.places for spans in found.values() for span in spans})
    return {name for name, spans in found.items() if any(reading.holds(s.places, rules.kinds[name]) for s in spans)}


def _sentences(message: Message, keys: list[frozenset[str]], rules: Rules) -> Line:
    """Return every word by sentences, for the language lists."""
    free = _free([token.word in rules.asides for token in message.tokens])
    places = range(len(keys))
    return Line(_ends([token.sentence for token in message.tokens]), free, 0, _index(places, keys, places))


def _find_concepts(
    message: Message, keys: list[frozenset[str]], masks: dict[str, list[Span]], rules: Rules
) -> dict[str, list[Span]]:
    """Find the concepts among the words that count: fillers are left out, figures of speech are blanked."""
    figures, elsewhere = (_union(masks.get(name, ())) for name in ("figures", "elsewhere"))
    places = [i for i, token in enumerate(message.tokens) if not rules.vocabulary.is_filler(token.word)]
    barriers = sum(1 << rank for rank, i in enumerate(places) if elsewhere >> i & 1) if elsewhere else 0
    free = _free([rules.telling.isdisjoint(keys[i]) for i in places])
    seen = [_NO_KEYS if figures >> i & 1 else keys[i] for i in places]
    ends = _ends([message.tokens[i].clause for i in places])
    found: dict[str, list[Span]] = {}
    begin = 0
    while begin < len(ends):  # clause by clause, so that fewer phrases seem to have all their words
        line = Line(ends, free, barriers, _index(range(begin, ends[begin]), seen, places))
        for name, spans in rules.phrases.search(line).items():
            found.setdefault(name, []).extend(spans)
        begin = ends[begin]
    return found


def _union(spans: Iterable[Span]) -> int:
    places = 0
    for span in spans:
        places |= span.places
    return places


def _free(idle: list[bool]) -> list[int]:
    """Return for each word how many idle words stand right behind it, up to a few: a phrase may pass over them."""
    free = [0] * len(idle)
    for rank in range(len(idle) - 2, -1, -1):
        if idle[rank + 1]:
            free[rank] = min(_PASSED_OVER, free[rank + 1] + 1)
    return free


def _ends(groups: list[int]) -> list[int]:
    """Return for each word the number of the word after the last of its group."""
    ends: list[int] = []
    for _, group in groupby(groups):
        size = len(list(group))
        ends += [len(ends) + size] * size
    return ends


def _index(ranks: Iterable[int], keys: Sequence[frozenset[str]], places: Sequence[int]) -> dict[str, Starts]:
    """File words under their keys; a span's ends are ranks among the words searched, its places those of the message."""
    index: dict[str, Starts] = {}
    for rank in ranks:
        if keys[rank]:
            place = places[rank]
            spans = _EVERY_WORD[rank] if place == rank < _MANY else (Span(rank, rank, 1 << place),)
            for key in keys[rank]:
                if key in index:
                    index[key][rank] = spans
                else:
                    index[key] = {rank: spans}
    return index
