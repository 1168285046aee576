"""Which words of a message are said to be so, here and now.

A message may name a symptom and mean the opposite: it denies it ("no numbness"), fears it or quotes it ("told me to
watch for"), asks about it in general ("what is ...?"), or tells of long ago ("ten years ago, fine now"). Here each such
stretch of words is marked. Which words do the marking is data: the ``[language]`` lists of red_flags.toml. Grammar is
not parsed; when a stretch is in doubt it is left unmarked, so the more urgent reading holds.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from qa.message import SUBJECTS, TURNS, Message
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
    "claims",
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
_LIST_ITEM = 8  # words of one item of a list that a negation governs
_LIST_ITEMS = 12  # items of such a list
_SUPPOSED_REACH = 30
_NOT_SO = frozenset({"isnt", "arent", "doesnt", "dont", "didnt", "hasnt", "havent", "wasnt", "not"})
_ANSWERED_NO = frozenset({"no", "none", "nope", "nil", "negative"})


@dataclass(frozen=True, slots=True)
class Reading:
    """Places in a message whose words are not said to be so: at all, any longer, or recently enough for an event."""

    unsaid: int
    past: int
    months_past: int

    def holds(self, places: int, kind: Kind) -> bool:
        """Tell whether a concept found at these places is asserted; the past never cancels a lasting fact."""
        against = self.unsaid
        if kind != "lasting":
            against |= self.past
        if kind == "event":
            against |= self.months_past
        return not against & places


def assess(message: Message, hits: Hits, symptoms: Collection[int]) -> Reading:
    """Mark the places of a message that assert nothing; a negator within a symptom belongs to the symptom's own name.

    ``symptoms`` are the places of each that was found. Sets of places that leave or enter this module are whole numbers:
    bit n stands for place n.
    """
    unsaid = _denied(message, hits, symptoms) | _supposed(message, hits) | _topics(message, hits)
    past, months_past = _past(message, hits)
    return Reading(_as_bits(unsaid), _as_bits(past), _as_bits(months_past))


def _as_bits(places: Iterable[int]) -> int:
    bits = 0
    for place in places:
        bits |= 1 << place
    return bits


def _places(hits: Hits, name: str) -> set[int]:
    return {place for span in hits[name] for place in range(span.start, span.end + 1)}


def _groups(numbers: Iterable[int]) -> dict[int, list[int]]:
    """Return the places that share each number, which never falls: those of a segment, or of a sentence."""
    in_order = list(numbers)
    return {number: list(places) for number, places in groupby(range(len(in_order)), in_order.__getitem__)}


def _denied(message: Message, hits: Hits, symptoms: Collection[int]) -> set[int]:
    harmless = _places(hits, "harmless_negations")
    lists = _List(message, hits)
    denied: set[int] = set()
    for span in sorted(hits["negators"] + hits["denials_after"]):
        places = range(span.start, span.end + 1)
        if _is_named(span, symptoms, denied):
            continue
        if span in hits["denials_after"]:
            denied.update(lists.before(span.start))
        if span in hits["negators"] and harmless.isdisjoint(places):
            denied.update(lists.scope(span.end))
    return denied | _answered_no(message) | lists.asked_and_denied()


def _is_named(span: Span, symptoms: Collection[int], denied: set[int]) -> bool:
    """Tell whether a denial is part of the name of a symptom that no earlier denial governs: "cannot", "no feeling"."""
    own = [places for places in symptoms if places & span.places]
    if not own:
        return False
    before = _as_bits(denied)
    return any(not places & before for places in own)


def _answered_no(message: Message) -> set[int]:
    """Mark what a list of questions and answers says no to: "any numbness no, any fever no"."""
    words = [token.word for token in message.tokens]
    asked = [place for place, word in enumerate(words) if word == "any"]
    marked: set[int] = set()
    for place in asked:
        item = words[place + 1 : place + 2 + _LIST_ITEM]
        answer = next((i for i, word in enumerate(item) if word in _ANSWERED_NO or word == "any"), None)
        ends = answer is not None and item[answer] != "any" and len(asked) > 1
        if ends and answer is not None:
            marked.update(range(place, place + 1 + answer))
    return marked


class _List:
    """How far a negation reaches: to the end of its segment, and on through the bare items of a list."""

    def __init__(self, message: Message, hits: Hits) -> None:
        self._message = message
        self._stops = _places(hits, "stops")
        self._opinions = _places(hits, "opinions")
        self._statements = _places(hits, "statement_words")
        self._nouns = _places(hits, "symptom_nouns")
        self.segments = _groups(token.segment for token in message.tokens)

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
        for item in range(segment + 1, segment + 1 + _LIST_ITEMS):
            if not self._list_goes_on(item, tokens[negator].sentence):
                break
            scope.extend(self.segments[item])
        return scope

    def before(self, denial: int) -> list[int]:
        """Return what a denial that comes after its object denies: the words before it, back to who is spoken of."""
        behind: list[int] = []
        for place in reversed(self.segments[self._message.tokens[denial].segment]):
            if place < denial:
                behind.append(place)
                if self._message.tokens[place].word in SUBJECTS:
                    break
        return behind

    def asked_and_denied(self) -> set[int]:
        """Return the short questions that are answered no at once: "Any numbness? No." and "Limping? No he isn't."."""
        denied: set[int] = set()
        for segment, places in self.segments.items():
            words = [self._message.tokens[place].word for place in places]
            before = self.segments.get(segment - 1, [])
            answers = words[0] in _ANSWERED_NO and (len(words) == 1 or not _NOT_SO.isdisjoint(words[1:4]))
            if answers and len(before) <= _LIST_ITEM:
                denied.update(before)
        return denied

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
    """Mark what is only feared, quoted, prevented or watched for, to the turn or the sentence's end."""
    marked: set[int] = set()
    tokens = message.tokens
    for span in hits["supposed"]:
        for place in range(span.end + 1, min(span.end + 1 + _SUPPOSED_REACH, len(tokens))):
            if tokens[place].sentence != tokens[span.end].sentence or tokens[place].word in TURNS:
                break
            marked.add(place)
    return marked


def _topics(message: Message, hits: Hits) -> set[int]:
    """Mark questions about the subject itself: they open as questions and name no person and no present moment.

    There are none in a message that claims their subject elsewhere ("Can it do that? I've had both all night").
    """
    if hits["claims"]:
        return set()
    courtesies = _places(hits, "courtesies")
    openers = _places(hits, "question_openers")
    phrases = {span.start for span in hits["topic_phrases"]}
    asking: list[list[int]] = []
    for places in _groups(token.sentence for token in message.tokens).values():
        first = next((place for place in places if place not in courtesies), None)
        if first in openers or not phrases.isdisjoint(places):
            asking.append(places)
    if not asking:
        return set()
    persons = (_places(hits, "people") | _places(hits, "present")) - courtesies - _places(hits, "bystanders")
    return {place for places in asking if persons.isdisjoint(places) for place in places}


def _past(message: Message, hits: Hits) -> tuple[set[int], set[int]]:
    """Return the places told of years ago, and of months ago, which only age an event unless all is well again."""
    past: set[int] = set()
    months_past: set[int] = set()
    if not hits["long_ago"] and not hits["months_ago"]:
        return past, months_past
    story = _Story(message, hits)
    for span in hits["long_ago"]:
        stretch = story.told_with(span)
        months_past.update(stretch)
        if not story.goes_on(span):
            past.update(stretch)
    for span in hits["months_ago"]:
        months_past.update(story.told_with(span))
    for sentence in _groups(token.sentence for token in message.tokens).values():
        past.update(story.over_in(sentence))
    return past, months_past


class _Story:
    """Where a message speaks of the past, where of the present, and where it says that all is well again."""

    def __init__(self, message: Message, hits: Hits) -> None:
        self._segment_of = [token.segment for token in message.tokens]
        self._segments = _groups(self._segment_of)
        self._now = _places(hits, "present")
        self._now_verbs = _places(hits, "present_verbs")
        self._ongoing = _places(hits, "ongoing")
        self._recovered = _places(hits, "recovered")
        self._recovered_starts = {span.start for span in hits["recovered"]}
        self._years = {span.start for span in hits["long_ago"]}
        self._months = {span.start for span in hits["months_ago"]}

    def goes_on(self, span: Span) -> bool:
        return not self._ongoing.isdisjoint(self._segments[self._segment_of[span.start]])

    def told_with(self, span: Span) -> list[int]:
        """Return the places of the span's segment, without what a word for the present claims."""
        places = self._segments[self._segment_of[span.start]]
        now = self._now - self._recovered
        first = max((i + 1 for i in places if i in now and i < span.start), default=places[0])
        last = min((i for i in places if i in now and i > span.end), default=places[-1] + 1)
        return [i for i in places if first <= i < last]

    def over_in(self, sentence: list[int]) -> list[int]:
        """Return what is over in a sentence about the past: all before "fine now", or all where nothing is now."""
        years = self._years.intersection(sentence)
        if not years and self._months.isdisjoint(sentence):
            return []
        ends = self._recovered_starts.intersection(sentence)
        if ends:
            return [place for place in sentence if place < max(ends)]
        segments = {self._segment_of[place] for place in years}
        elsewhere = [place for place in sentence if self._segment_of[place] not in segments]
        only_past = years and self._now.isdisjoint(sentence) and self._now_verbs.isdisjoint(elsewhere)
        return sentence if only_past else []
