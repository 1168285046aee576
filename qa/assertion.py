"""Which words of a message are said to be so, here and now.

A message may name a symptom and mean the opposite: it denies it ("no numbness"), fears it or quotes it ("told me to
watch for"), asks about it in general ("what is ...?"), or tells of long ago ("ten years ago, fine now"). Here each such
stretch of words is marked. Which words do the marking is data: the ``[language]`` lists of red_flags.toml. Grammar is
not parsed; when a stretch is in doubt it is left unmarked, so the more urgent reading holds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from qa.message import Message
from qa.phrase import Span

Kind = Literal["symptom", "event", "lasting"]
Hits = Mapping[str, list[Span]]

LISTS = (
    "negators",
    "harmless_negations",
    "denials_after",
    "stops",
    "opinions",
    "statement_words",
    "symptom_nouns",
    "supposed",
    "question_openers",
    "topic_phrases",
    "courtesies",
    "people",
    "bystanders",
    "present",
    "present_verbs",
    "long_ago",
    "months_ago",
    "ongoing",
    "recovered",
)
_DENIAL_REACH = 10  # words one negation may govern in its own segment; NegEx (Chapman 2001) uses 5 to 6 content words
_LIST_ITEM = 6  # words of one item of a list that a negation governs
_SUPPOSED_REACH = 30
_ANSWERED_NO = frozenset({"no", "none", "nope", "nil", "negative"})
_TURNS = frozenset(["but", "however", "although", "though", "yet", "except", "whereas"])


@dataclass(frozen=True, slots=True)
class Reading:
    """Places in a message whose words are not said to be so: at all, any longer, or recently enough for an event."""

    unsaid: frozenset[int]
    past: frozenset[int]
    months_past: frozenset[int]

    def holds(self, places: Iterable[int], kind: Kind) -> bool:
        """Tell whether a concept found at these places is asserted; the past never cancels a lasting fact."""
        against = self.unsaid
        if kind != "lasting":
            against = against | self.past
        if kind == "event":
            against = against | self.months_past
        return against.isdisjoint(places)


def assess(message: Message, hits: Hits, spent: frozenset[int]) -> Reading:
    """Mark the places of a message that assert nothing; negators at ``spent`` places belong to a symptom's own name."""
    unsaid = _denied(message, hits, spent) | _supposed(message, hits) | _topics(message, hits)
    past, months_past = _past(message, hits)
    return Reading(frozenset(unsaid), frozenset(past), frozenset(months_past))


def _places(hits: Hits, name: str) -> set[int]:
    return {place for span in hits[name] for place in range(span.start, span.end + 1)}


def _segment_places(message: Message, segment: int) -> list[int]:
    return [i for i, token in enumerate(message.tokens) if token.segment == segment]


def _denied(message: Message, hits: Hits, spent: frozenset[int]) -> set[int]:
    harmless = _places(hits, "harmless_negations") | spent
    lists = _List(message, hits)
    denied: set[int] = set()
    for span in hits["negators"]:
        if harmless.isdisjoint(span.places):
            denied.update(lists.scope(span.end))
    for span in hits["denials_after"]:
        if spent.isdisjoint(span.places):
            segment = message.tokens[span.start].segment
            denied.update(i for i in lists.segments[segment] if i < span.start)
    for segment, places in lists.segments.items():
        before = lists.segments.get(segment - 1, [])
        if len(places) == 1 and message.tokens[places[0]].word in _ANSWERED_NO and len(before) <= _LIST_ITEM:
            denied.update(before)
    return denied


class _List:
    """How far a negation reaches: to the end of its segment, and on through the bare items of a list."""

    def __init__(self, message: Message, hits: Hits) -> None:
        self._message = message
        self._stops = _places(hits, "stops")
        self._opinions = _places(hits, "opinions")
        self._statements = _places(hits, "statement_words")
        self._nouns = _places(hits, "symptom_nouns")
        self.segments: dict[int, list[int]] = {}
        for place, token in enumerate(message.tokens):
            self.segments.setdefault(token.segment, []).append(place)

    def scope(self, negator: int) -> list[int]:
        tokens = self._message.tokens
        segment = tokens[negator].segment
        scope: list[int] = []
        for place in self.segments[segment]:
            if place > negator:
                stopped = place in self._stops and place - 1 not in self._opinions
                if stopped or place - negator > _DENIAL_REACH:
                    return scope
                scope.append(place)
        while self._list_goes_on(segment + 1, tokens[negator].sentence):
            segment += 1
            scope.extend(self.segments[segment])
        return scope

    def _list_goes_on(self, segment: int, sentence: int) -> bool:
        run: list[int] = []
        while len(run) < 2 and self._is_bare(segment + len(run), sentence):
            run.append(segment + len(run))
        if not run:
            return False
        words = [self._message.tokens[i].word for s in run for i in self.segments[s]]
        return len(run) > 1 or "or" in words or "nor" in words or self._first(segment) in self._nouns

    def _is_bare(self, segment: int, sentence: int) -> bool:
        places = self.segments.get(segment, [])
        if not places or self._message.tokens[places[0]].sentence != sentence:
            return False
        opener = self._message.segment_openers[segment]
        short = len(places) <= _LIST_ITEM + (opener == "and")
        return opener in (",", "and") and short and (self._statements | self._stops).isdisjoint(places)

    def _first(self, segment: int) -> int:
        places = self.segments[segment]
        skipped = self._message.tokens[places[0]].word == "and" and len(places) > 1
        return places[1] if skipped else places[0]


def _supposed(message: Message, hits: Hits) -> set[int]:
    """Mark what is only feared, quoted, prevented or watched for: from the trigger to the turn or the sentence's end."""
    marked: set[int] = set()
    tokens = message.tokens
    for span in hits["supposed"]:
        for place in range(span.end + 1, min(span.end + 1 + _SUPPOSED_REACH, len(tokens))):
            if tokens[place].sentence != tokens[span.end].sentence or tokens[place].word in _TURNS:
                break
            marked.add(place)
    return marked


def _topics(message: Message, hits: Hits) -> set[int]:
    """Mark questions about the subject itself: they open as questions and name no person and no present moment."""
    courtesies = _places(hits, "courtesies")
    persons = (_places(hits, "people") | _places(hits, "present")) - courtesies - _places(hits, "bystanders")
    openers = _places(hits, "question_openers")
    phrases = {span.start for span in hits["topic_phrases"]}
    marked: set[int] = set()
    for places in _by_sentence(message):
        first = next((place for place in places if place not in courtesies), None)
        asks = first in openers or not phrases.isdisjoint(places)
        if asks and persons.isdisjoint(places):
            marked.update(places)
    return marked


def _by_sentence(message: Message) -> list[list[int]]:
    sentences: dict[int, list[int]] = {}
    for place, token in enumerate(message.tokens):
        sentences.setdefault(token.sentence, []).append(place)
    return list(sentences.values())


def _past(message: Message, hits: Hits) -> tuple[set[int], set[int]]:
    """Return the places told of years ago, and those of months ago, which only age an event unless all is well again."""
    past: set[int] = set()
    months_past: set[int] = set()
    recovered = [span.start for span in hits["recovered"]]
    for places in _by_sentence(message):
        inside = set(places)
        old = [span for span in hits["long_ago"] if span.start in inside]
        recent = [span for span in hits["months_ago"] if span.start in inside]
        if not old and not recent:
            continue
        ends = [place for place in recovered if place in inside]
        if ends:
            past.update(place for place in places if place < max(ends))
        if old and not ends and _tells_only_of_the_past(message, hits, inside, old):
            past.update(places)
        for span in old:
            stretch = _told_with(message, hits, span)
            months_past.update(stretch)
            if _places(hits, "ongoing").isdisjoint(_segment_places(message, message.tokens[span.start].segment)):
                past.update(stretch)
        for span in recent:
            months_past.update(_told_with(message, hits, span))
    return past, months_past


def _tells_only_of_the_past(message: Message, hits: Hits, sentence: set[int], old: list[Span]) -> bool:
    segments = {message.tokens[span.start].segment for span in old}
    elsewhere = {i for i in sentence if message.tokens[i].segment not in segments}
    now = _places(hits, "present")
    return now.isdisjoint(sentence) and _places(hits, "present_verbs").isdisjoint(elsewhere)


def _told_with(message: Message, hits: Hits, span: Span) -> list[int]:
    """Return the places of the span's segment, without what follows a word for the present."""
    places = _segment_places(message, message.tokens[span.start].segment)
    now = _places(hits, "present") - _places(hits, "recovered")
    before = [i for i in places if i in now and i < span.start]
    after = [i for i in places if i in now and i > span.end]
    first = max(before) + 1 if before else places[0]
    last = min(after) if after else places[-1] + 1
    return [i for i in places if first <= i < last]
