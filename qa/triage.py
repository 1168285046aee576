"""Red flags, read before and apart from retrieval: a message in, one fixed card or nothing out.

Words become phrases, phrases concepts, concepts families (red_flags.toml); concepts that the message denies, fears,
asks about or tells of the past are dropped (assertion.py). There is no model and no judgement of the reader: the card's
words are fixed. When in doubt the more urgent card is shown.
"""

from collections.abc import Iterable, Sequence

from qa.answer import Alert, Level
from qa.assertion import Kind, Reading, assess
from qa.flags import Family, Rules, load_rules
from qa.message import Message, read
from qa.phrase import Line, Phrasebook, Span

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
    present = asserted_concepts(question, rules)
    matching = [f for f in rules.families if any(row <= present for row in f.when) and not f.unless & present]
    return tuple(sorted(matching, key=lambda family: URGENCY.index(family.alert.level)))


def asserted_concepts(question: str, rules: Rules) -> frozenset[str]:
    """Return the names of the concepts that a message says to be so."""
    message = read(question, rules.vocabulary.parts_of)
    keys = [rules.vocabulary.keys_of(token.word) for token in message.tokens]
    found = _find_concepts(message, keys, rules)
    if not any(row <= found.keys() for family in rules.families for row in family.when):
        return frozenset()
    spent = 0
    for spans in found.values():
        for span in spans:
            spent |= span.places
    reading = assess(message, _search(rules.language, message, keys, rules.asides), spent)
    return frozenset(c.name for c in rules.concepts if _is_asserted(found.get(c.name, ()), c.kind, reading))


def _is_asserted(spans: Iterable[Span], kind: Kind, reading: Reading) -> bool:
    return any(reading.holds(span.places, kind) for span in spans)


def _search(lists: Phrasebook, message: Message, keys: list[frozenset[str]], asides: frozenset[str]) -> dict[str, list[Span]]:
    """Find word lists in every word of the message."""
    line = Line([token.sentence for token in message.tokens], _free([token.word in asides for token in message.tokens]))
    _fill(line, keys, range(len(keys)))
    return {name: [] for name in lists.names} | lists.search(line)


def _find_concepts(message: Message, keys: list[frozenset[str]], rules: Rules) -> dict[str, list[Span]]:
    """Find the concepts among the words that count: fillers are left out, figures of speech are blanked."""
    masks = _search(rules.masks, message, keys, rules.asides)
    figures = elsewhere = 0
    for span in masks["figures"]:
        figures |= span.places
    for span in masks["elsewhere"]:
        elsewhere |= span.places
    places = [i for i, token in enumerate(message.tokens) if not rules.vocabulary.is_filler(token.word)]
    barriers = sum(1 << rank for rank, i in enumerate(places) if elsewhere >> i & 1) if elsewhere else 0
    free = _free([rules.telling.isdisjoint(keys[i]) for i in places])
    line = Line([message.tokens[i].clause for i in places], free, barriers)
    _fill(line, [_NO_KEYS if figures >> i & 1 else keys[i] for i in places], places)
    return rules.phrases.search(line)


def _free(idle: list[bool]) -> list[int]:
    """Return for each word how many idle words stand right behind it, up to a few: a phrase may pass over them."""
    free = [0] * len(idle)
    for rank in range(len(idle) - 2, -1, -1):
        if idle[rank + 1]:
            free[rank] = min(_PASSED_OVER, free[rank + 1] + 1)
    return free


def _fill(line: Line, keys: list[frozenset[str]], places: Sequence[int]) -> None:
    """Enter the keys of words in a line; a span's ends count the line's words, its places the message's."""
    for rank, filled in enumerate(keys):
        if filled:
            spans = [Span(rank, rank, 1 << places[rank])]
            for key in filled:
                line.add(key, spans)
