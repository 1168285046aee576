"""Red flags, read before and apart from retrieval: a message in, one fixed card or nothing out.

Words become phrases, phrases concepts, concepts families (red_flags.toml); concepts that the message denies, fears,
asks about or tells of the past are dropped (assertion.py). There is no model and no judgement of the reader: the card's
words are fixed. When in doubt the more urgent card is shown.
"""

from collections.abc import Iterable

from qa.answer import Alert, Level
from qa.assertion import Kind, Reading, assess
from qa.flags import Family, Rules, load_rules
from qa.message import Message, read
from qa.phrase import Line, Span

URGENCY: tuple[Level, ...] = ("emergency", "crisis", "urgent")
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
    message = read(question)
    keys = [rules.vocabulary.keys_of(token.word) for token in message.tokens]
    hits = _language_hits(message, keys, rules)
    found = _find_concepts(message, keys, hits, rules)
    spent = frozenset(place for spans in found.values() for span in spans for place in span.places)
    reading = assess(message, hits, spent)
    return frozenset(c.name for c in rules.concepts if _is_asserted(found.get(c.name, ()), c.kind, reading))


def _is_asserted(spans: Iterable[Span], kind: Kind, reading: Reading) -> bool:
    return any(reading.holds(span.places, kind) for span in spans)


def _language_hits(message: Message, keys: list[frozenset[str]], rules: Rules) -> dict[str, list[Span]]:
    """Find the language lists in every word of the message."""
    line = _line(keys, [token.sentence for token in message.tokens], frozenset())
    return {name: [] for name in rules.language.names} | rules.language.search(line)


def _find_concepts(
    message: Message, keys: list[frozenset[str]], hits: dict[str, list[Span]], rules: Rules
) -> dict[str, list[Span]]:
    """Find the concepts among the words that count: fillers are left out, figures of speech are blanked."""
    figures = {place for span in hits["figures"] for place in span.places}
    places = [i for i, token in enumerate(message.tokens) if token.word not in rules.fillers]
    elsewhere = {place for span in hits["elsewhere"] for place in span.places}
    line = _line(
        [_NO_KEYS if i in figures else keys[i] for i in places],
        [message.tokens[i].clause for i in places],
        frozenset(rank for rank, i in enumerate(places) if i in elsewhere),
    )
    found: dict[str, list[Span]] = {}
    for concept in rules.concepts:
        for name, spans in concept.phrases.search(line).items():
            line.add(f"{{{name}}}", spans)
            found[name] = [_in_message(span, places) for span in spans]
    return found


def _line(keys: list[frozenset[str]], clauses: list[int], barriers: frozenset[int]) -> Line:
    line = Line(clauses, barriers)
    for place, filled in enumerate(keys):
        for key in filled:
            line.add(key, [Span(place, place, frozenset((place,)))])
    return line


def _in_message(span: Span, places: list[int]) -> Span:
    return Span(places[span.start], places[span.end], frozenset(places[rank] for rank in span.places))
