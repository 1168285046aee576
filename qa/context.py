"""How far a cut of a passage must reach so that nothing is lost that would change what it says.

A cut is widened, sentence by sentence, while its first sentence leans on the one before ("However, ...", "This is ...") and
while the sentence after it turns what was said ("But ...", "Unless ...", "Do not ..."); and up to the nearest heading above
it where that heading forbids ("Things to avoid"). It is never narrowed. Lists are kept whole where chunks are made.
"""

import re

from corpus.lists import forbids, is_heading
from corpus.passage import Span
from corpus.sentences import split_sentences

# Characters looked at for the next sentence; a longer one is looked for in twice as many.
WINDOW = 2000
_LEANS = re.compile(
    r"\W*(?:(?:however|but|yet|instead|otherwise|still|nevertheless|nonetheless|conversely|though|then|so|also|therefore|thus|"
    r"this|that|these|those|it|they|he|she|such|here|neither|nor|either|both|except|unless|rather|even so|if so|if not|"
    r"in (?:that|this|these|those|such) cases?|for (?:this|that) reason|on the other hand|by contrast|in contrast)\b)",
    re.IGNORECASE,
)
_TURNS = re.compile(
    r"\W*(?:(?:however|but|yet|although|though|except|exceptions?|unless|only if|instead|nevertheless|nonetheless|conversely|"
    r"otherwise|even so|still|rather|on the other hand|by contrast|in contrast|that said|having said that|caution|warning|"
    r"beware|"
    r"do not|don[’']t|never|avoid|stop|not everyone|not all|none of|neither|nor|"
    r"(?:this|that|these|those|it|they)\s+(?:(?:is|are|was|were|does|do|should|can|may|must|will|would)\s*(?:not|n[’']t)|"
    r"(?:isn|aren|wasn|weren|doesn|don|shouldn|can|mustn|won|wouldn)[’']?t))\b)",
    re.IGNORECASE,
)


def widened(text: str, span: Span) -> Span:
    """Return the range to show for a cut of a passage's text: the cut, and what would change its meaning if left out."""
    start, end = _forbidding_heading(text, span.start), span.end
    while (before := _sentence_before(text, start)) is not None and _LEANS.match(text, start):
        start = before.start
    while (after := _sentence_after(text, end)) is not None and _TURNS.match(text, after.start):
        end = after.end
    return Span(start, end)


def _forbidding_heading(text: str, start: int) -> int:
    """Return where the nearest heading above begins if it forbids what follows it, else ``start``."""
    end = text.rfind("\n", 0, start)
    while end > 0:
        begin = text.rfind("\n", 0, end) + 1
        line = text[begin:end]
        if line.strip() and is_heading(line):
            return begin if forbids(line) else start
        end = begin - 1
    return start


def _sentence_before(text: str, start: int) -> Span | None:
    if not text[:start].strip():
        return None
    size = WINDOW
    while True:
        first = max(0, start - size)
        sentences = split_sentences(text[first:start])
        if len(sentences) > 1 or first == 0:  # the first of them may have begun before the window
            return Span(first + sentences[-1].start, first + sentences[-1].end)
        size *= 2


def _sentence_after(text: str, end: int) -> Span | None:
    if not text[end:].strip():
        return None
    size = WINDOW
    while True:
        part = text[end : end + size]
        sentences = split_sentences(part)
        if len(sentences) > 1 or end + size >= len(text):
            return Span(end + sentences[0].start, end + sentences[0].end)
        size *= 2
