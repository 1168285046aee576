"""Passage to chunks on sentence borders, within a token budget; offsets are recorded as the text is cut.

Sentences are gathered into units that must not be parted (a list and the sentence that introduces it, where they fit the
budget together), and units are packed into chunks of even size. A list too long for one chunk is parted between its
items, but each part's ``quote`` reaches back to the introduction: no "do not" list is shown without its "do not".
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from corpus.lists import forbids, introduces, is_heading, may_be_item, starts_item
from corpus.passage import Chunk, Passage, Span
from corpus.sentences import split_sentences

# A lead-in's whole line goes with its list up to this length: "Do not do these. They can hurt you:" says it earlier.
LEAD_LINE_WORDS = 60
# A list goes on over this many lines that are no items (a remark, a second paragraph), if an item follows.
LIST_GAP = 3
# A list without markers is not followed further than this many words.
UNMARKED_LIST_WORDS = 400
# A sentence longer than this many budgets is no sentence (a table, a word list): its parts are quoted as they are.
QUOTED_WHOLE = 3

_WORD = re.compile(r"\S+")
_LINE = re.compile(r"[^\n]+")

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

    Only a single word of more tokens than the budget makes a longer one. Every sentence lies in exactly one chunk.
    ``count_tokens`` gives the number of tokens of each text it is given.
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
    lines = [Span(m.start(), m.end()) for m in _LINE.finditer(text)]
    words = [text[line.start : line.end] for line in lines]
    found: list[int | None] = [None] * len(lines)
    for i in range(len(lines) - 1):
        if found[i + 1] is None and introduces(words[i], words[i + 1]):
            outer = found[i]
            start = outer if outer is not None else _lead_start(text, lines[i], sentences)
            for j in range(i + 1, _list_end(words, i) + 1):
                found[j] = start
    starts = [line.start for line in lines]
    return [found[bisect_right(starts, sentence.start) - 1] for sentence in sentences]


def _lead_start(text: str, line: Span, sentences: Sequence[Span]) -> int:
    """Return where a lead-in starts: its line, or only the line's last sentence where the line is long."""
    if len(text[line.start : line.end].split()) <= LEAD_LINE_WORDS:
        return line.start
    return max(sentence.start for sentence in sentences if sentence.start < line.end)


def _list_end(lines: Sequence[str], lead: int) -> int:
    """Return the number of the last line of the list that line ``lead`` introduces."""
    return _marked_end(lines, lead) if starts_item(lines[lead + 1]) else _unmarked_end(lines, lead)


def _marked_end(lines: Sequence[str], lead: int) -> int:
    """Follow a list of marked items over remarks and second paragraphs between them, and over those of its last item."""
    last, widest = lead + 1, 0
    nested = lines[last].endswith(":")  # an item that introduces a list of its own
    for j in range(lead + 2, len(lines)):
        if starts_item(lines[j]):
            widest, last, nested = max(widest, j - last - 1), j, lines[j].endswith(":")
        elif nested and may_be_item(lines[j], lines[lead]):
            last = j
        elif j - last > LIST_GAP or is_heading(lines[j]) or lines[j].endswith(":"):
            break
    reach = widest
    while reach and last + 1 < len(lines) and not is_heading(lines[last + 1]) and not lines[last + 1].endswith(":"):
        last, reach = last + 1, reach - 1
    return last


def _unmarked_end(lines: Sequence[str], lead: int) -> int:
    """Follow a list without markers as long as its lines could be items."""
    last, words = lead + 1, len(lines[lead + 1].split())
    for j in range(lead + 2, len(lines)):
        words += len(lines[j].split())
        another = lines[j].endswith(":") and not starts_item(lines[j]) and not forbids(lines[lead])
        if another or words > UNMARKED_LIST_WORDS or not (starts_item(lines[j]) or may_be_item(lines[j], lines[lead])):
            break
        last = j
    return last


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
