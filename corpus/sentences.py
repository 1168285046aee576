"""Text to sentence ranges, by rule: a line break ends a sentence, and so does a full stop that is no abbreviation.

The ranges are recorded as the text is cut; nothing is ever searched for afterwards. The rules are English ones with the
CJK full stops added; they do not know the abbreviations of other languages.
"""

import re
from collections.abc import Iterator

from corpus.passage import Span, trimmed

# Titles, Latin and measures that are followed by a capital letter or a digit without ending a sentence.
ABBREVIATIONS = frozenset(
    "dr mr mrs ms prof st vs e.g i.e eg ie cf c ca al approx no nos fig figs vol pp p ed eds est dept sr jr inc ltd".split()
)
# A sentence that follows "U.S." or "M.D." most often opens with one of these; a name that contains it does not.
STARTERS = frozenset("the a an it this that these those he she they we you i in if when there but and or for as at on".split())

# How far back the word before a full stop is looked for.
LONGEST_WORD = 60
# A full stop before white space, or (cjk) one that needs none, or (glued) one that lost its white space when the text was
# taken from a page: "in the hip.The pain", but not "11.Patricia" or "Cancer.Net".
_BORDER = re.compile(
    r"(?P<mark>(?<![.!?…])[.!?…]++)(?P<tail>[\"'”’»)\]]*(?:\[\d+(?:[,–-]\s?\d+)*\])*)(?=\s+[\"'“‘«(\[]*(?P<next>[^\W_]+))"
    r"|(?P<cjk>[。！？]++[」』”’）]*)"
    r"|(?P<glued>(?:(?<=[a-z][a-z\d)\]%])|(?<=\d[)\]%]))[.!?](?=(?!Com\b|Edu\b|Gov\b|Net\b|Org\b)[A-Z][a-z]*[\s,-]))"
)
_LAST_WORD = re.compile(r"[^\s(\[\"'“‘]*$")
_ITEM_MARK = re.compile(r"\s*(?:\d{1,3}|[a-zA-Z])$")
_INITIALS = re.compile(r"(?:[A-Za-z]\.)+[A-Za-z]$")


def split_sentences(text: str) -> tuple[Span, ...]:
    """Return the sentences' ranges in order; they don't overlap, are trimmed, and leave out nothing but white space."""
    spans = (trimmed(text, span) for line in _lines(text) for span in _split_line(text, line))
    return tuple(span for span in spans if span.start < span.end)


def _lines(text: str) -> Iterator[Span]:
    for found in re.finditer(r"[^\n]+", text):
        yield Span(found.start(), found.end())


def _split_line(text: str, line: Span) -> Iterator[Span]:
    start = line.start
    for found in _BORDER.finditer(text, line.start, line.end):
        before = text[max(start, found.start() - LONGEST_WORD) : found.start()]
        if found["cjk"] or found["glued"] or _ends_sentence(before, found):
            yield Span(start, found.end())
            start = found.end()
    yield Span(start, line.end)


def _ends_sentence(before: str, found: re.Match[str]) -> bool:
    following = found["next"]
    if following[0].islower():
        return False
    if found["mark"] != ".":
        return True
    if _ITEM_MARK.fullmatch(before):  # "1. Lie on your back": the number belongs to the step
        return False
    tail = _LAST_WORD.search(before)
    word = tail.group() if tail else ""
    if _INITIALS.fullmatch(word) and word.lower() not in ABBREVIATIONS:
        return following.lower() in STARTERS
    if len(word) == 1 and word.isupper():  # an initial in a name; "vitamin D. The ..." goes on with a starter
        return following.lower() in STARTERS and word != "I"
    return word.lower() not in ABBREVIATIONS
