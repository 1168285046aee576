"""Passage to chunks on sentence borders, within a token budget; offsets are recorded as the text is cut.

Sentences are gathered into units that must not be parted (a list and the sentence that introduces it, where they fit the
budget together), and units are packed into chunks of even size. A list too long for one chunk is parted between its
items, but each part's ``quote`` reaches back to the introduction: no "do not" list is shown without its "do not".
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from corpus.passage import Chunk, Passage, Span
from corpus.sentences import split_sentences
from corpus.text import starts_item

# A line after a lead-in that ends with a colon is an item of its list as long as it has no more words than this.
UNMARKED_ITEM_WORDS = 25
# A line without a full stop and with no more words than this stands over what follows it, as a heading does.
HEADING_LINE_WORDS = 12
# A lead-in's whole line goes with its list up to this length: "Do not do these. They can hurt you:" says it earlier.
LEAD_LINE_WORDS = 60
# A sentence longer than this many budgets is no sentence (a table, a word list): its parts are quoted as they are.
QUOTED_WHOLE = 3

_NEGATION = re.compile(
    r"\b(?:not|never|don[’']?ts?|avoid\w*|stop|without|unless|no|shouldn[’']t|mustn[’']t|cannot|can[’']t)\b",
    re.IGNORECASE,
)
_FULL_STOP = re.compile(r"[.!?…。！？][\"'”’)\]]*$")
_WORD = re.compile(r"\S+")

CountTokens = Callable[[Sequence[str]], list[int]]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A sentence or a part of an overlong one, its tokens, and the range that must be shown with it."""

    span: Span
    tokens: int
    quote: Span
    opens_block: bool
    joined: bool


def chunk_passage(passage: Passage, count_tokens: CountTokens, *, budget: int) -> tuple[Chunk, ...]:
    """Cut a passage into chunks of at most ``budget`` tokens, special tokens and heading not counted.

    Every sentence lies in exactly one chunk. ``count_tokens`` gives the number of tokens of each text it is given.
    """
    if budget < 1:
        raise ValueError(f"the token budget is {budget}, expected at least 1")
    pieces = list(_pieces(passage.text, count_tokens, budget))
    return tuple(_chunk(passage, group) for group in _pack(pieces, budget))


def _pieces(text: str, count_tokens: CountTokens, budget: int) -> Iterator[_Piece]:
    sentences = split_sentences(text)
    tokens = count_tokens([text[s.start : s.end] for s in sentences])
    leads = _leads(text, sentences)
    previous_end = 0
    for sentence, count, lead in zip(sentences, tokens, leads, strict=True):
        opens = "\n" in text[previous_end : sentence.start]
        previous_end = sentence.end
        quote = Span(lead if lead is not None else sentence.start, sentence.end)
        if count <= budget:
            yield _Piece(sentence, count, quote, opens, lead is not None)
        else:
            yield from _split_long(text, sentence, quote, count_tokens, budget)


def _split_long(text: str, sentence: Span, quote: Span, count_tokens: CountTokens, budget: int) -> Iterator[_Piece]:
    """Part an overlong sentence between words; its parts are quoted with the whole of it, unless it is no sentence."""
    words = [
        Span(sentence.start + m.start(), sentence.start + m.end()) for m in _WORD.finditer(text[sentence.start : sentence.end])
    ]
    counts = count_tokens([text[w.start : w.end] for w in words])
    whole = sum(counts) <= QUOTED_WHOLE * budget
    start, used = 0, 0
    for i, count in enumerate([*counts, budget]):
        if i > start and (i == len(words) or used + count > budget):
            span = Span(words[start].start, words[i - 1].end)
            # A part of a list item that is no sentence is still shown with the list's introduction.
            shown = quote if whole else Span(quote.start if quote.start < sentence.start else span.start, span.end)
            yield _Piece(span, min(used, budget), shown, start == 0, joined=False)
            start, used = i, 0
        used += count


def _leads(text: str, sentences: Sequence[Span]) -> list[int | None]:
    """For each sentence that is part of a list, where the list's introduction starts; None for the others."""
    leads: list[int | None] = []
    lead: int | None = None
    interrupted: int | None = None  # where the list above starts that one line has broken off
    marked = colon = False
    previous = Span(0, 0)
    for sentence in sentences:
        line = text[sentence.start : _line_end(text, sentence)]
        if "\n" in text[previous.end : sentence.start] or not leads:
            item = starts_item(line)
            above = text[previous.start : previous.end]
            resumed = interrupted if item and _FULL_STOP.search(above) else None
            interrupted = None
            if resumed is not None:  # a remark between two items introduces nothing
                lead, marked, colon = resumed, True, False
            elif lead is None and leads and (above.endswith(":") or _introduces(above, line, item)):
                lead, marked, colon = _lead_start(text, previous), item, above.endswith(":")
            elif lead is not None and not _continues_list(line, item, marked=marked, colon=colon):
                interrupted, lead = lead if marked else None, None
                if above.endswith(":"):
                    interrupted, lead, marked, colon = None, _lead_start(text, previous), item, True
        leads.append(lead)
        previous = sentence
    return leads


def _lead_start(text: str, lead: Span) -> int:
    start = text.rfind("\n", 0, lead.start) + 1
    return start if len(text[start : lead.end].split()) <= LEAD_LINE_WORDS else lead.start


def _line_end(text: str, sentence: Span) -> int:
    found = text.find("\n", sentence.end)
    return len(text) if found < 0 else found


def _introduces(above: str, line: str, item: bool) -> bool:
    """Say whether a line introduces the one below: any line above a marked item, or a heading that forbids."""
    if item:
        return not starts_item(above)
    heading = len(above.split()) <= HEADING_LINE_WORDS and not _FULL_STOP.search(above)
    return heading and _NEGATION.search(above) is not None and len(line.split()) <= UNMARKED_ITEM_WORDS


def _continues_list(line: str, item: bool, *, marked: bool, colon: bool) -> bool:
    if item:
        return True
    return not marked and (colon or not line.endswith(":")) and len(line.split()) <= UNMARKED_ITEM_WORDS


def _pack(pieces: Sequence[_Piece], budget: int) -> Iterator[list[_Piece]]:
    """Pack pieces in order into groups of even size: the fewest that fit, each near the mean, lists kept whole."""
    units = list(_units(pieces, budget))
    total = sum(_tokens(unit) for unit in units)
    share = total / max(1, -(-total // budget))
    group: list[_Piece] = []
    for unit in units:
        used, more = _tokens(group), _tokens(unit)
        # Close where a paragraph ends near the even share, or where more would not fit.
        full = used + more > budget or used + more / 2 > share * (1.0 if unit[0].opens_block else 1.15)
        if group and full:
            yield group
            group = []
        group.extend(unit)
    if group:
        yield group


def _units(pieces: Sequence[_Piece], budget: int) -> Iterator[list[_Piece]]:
    """Join each list to its lead-in where the two fit the budget together."""
    unit: list[_Piece] = []
    for piece in pieces:
        if unit and piece.joined and _tokens(unit) + piece.tokens <= budget:
            unit.append(piece)
            continue
        if unit:
            yield unit
        unit = [piece]
    if unit:
        yield unit


def _tokens(pieces: Sequence[_Piece]) -> int:
    return sum(piece.tokens for piece in pieces)


def _chunk(passage: Passage, group: Sequence[_Piece]) -> Chunk:
    start, end = group[0].span.start, group[-1].span.end
    quote = Span(min(start, *(p.quote.start for p in group)), max(end, *(p.quote.end for p in group)))
    return Chunk(passage, start, end, tuple(piece.span for piece in group), quote)
