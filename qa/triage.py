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
    lines = _sentences(message, keys, rules)
    found = _find_concepts(message, keys, rules.masks.search_all(lines), rules)
    likely = [family for family in rules.families if family.could_match(found.keys())]
    if not likely:
        return ()
    present = _asserted(message, lines, found, rules)
    matching = [family for family in likely if family.could_match(present) and not family.unless & present]
    return tuple(sorted(matching, key=lambda family: URGENCY.index(family.alert.level)))


def _asserted(message: Message, lines: list[Line], found: dict[str, list[Span]], rules: Rules) -> set[str]:
    """Return the names of the concepts found that the message says to be so."""
    hits: dict[str, list[Span]] = {name: [] for name in rules.language.names} | rules.language.search_all(lines)
    reading = assess(message, hits, {span.places for spans in found.values() for span in spans})
    return {name for name, spans in found.items() if any(reading.holds(s.places, rules.kinds[name]) for s in spans)}


def _sentences(message: Message, keys: list[frozenset[str]], rules: Rules) -> list[Line]:
    """Return the sentences with every word, for the language lists."""
    free = _free([token.word in rules.asides for token in message.tokens])
    return _lines([token.sentence for token in message.tokens], keys, range(len(keys)), free, 0)


def _find_concepts(
    message: Message, keys: list[frozenset[str]], masks: dict[str, list[Span]], rules: Rules
) -> dict[str, list[Span]]:
    """Find the concepts among the words that count: fillers are left out, figures of speech are blanked."""
    figures, elsewhere = (_union(masks.get(name, ())) for name in ("figures", "elsewhere"))
    places = [i for i, token in enumerate(message.tokens) if not rules.vocabulary.is_filler(token.word)]
    barriers = sum(1 << rank for rank, i in enumerate(places) if elsewhere >> i & 1) if elsewhere else 0
    free = _free([rules.telling.isdisjoint(keys[i]) for i in places])
    seen = [_NO_KEYS if figures >> i & 1 else keys[i] for i in places]
    return rules.phrases.search_all(_lines([message.tokens[i].clause for i in places], seen, places, free, barriers))


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


def _lines(groups: list[int], keys: list[frozenset[str]], places: Sequence[int], free: list[int], barriers: int) -> list[Line]:
    """Part words into lines by the number of their group; a span's ends count these words, its places the message's."""
    lines: list[Line] = []
    for _, ranks in groupby(range(len(groups)), groups.__getitem__):
        run = list(ranks)
        index: dict[str, Starts] = {}
        for rank in run:
            if keys[rank]:
                spans = (Span(rank, rank, 1 << places[rank]),)
                for key in keys[rank]:
                    if key in index:
                        index[key][rank] = spans
                    else:
                        index[key] = {rank: spans}
        lines.append(Line(run[-1] + 1, free, barriers, index))
    return lines
