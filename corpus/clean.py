"""Keep a passage or reject it with a reason: duplicate, boilerplate or fragment. Nothing is dropped uncounted.

The rules are few and explainable. They look at the passage alone and at the passages before it; they never change a text.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from corpus.passage import Passage
from corpus.readers.source import Unreadable
from corpus.sentences import split_sentences

Reason = Literal["duplicate", "boilerplate", "fragment"]
# A passage is boilerplate when sentences about the site itself make up at least this share of its characters.
BOILERPLATE_SHARE = 0.5
# Below these a passage without a heading says nothing on its own ("×", "Read more", "Page 2 of 7").
FRAGMENT_LETTERS = 12
FRAGMENT_WORDS = 4
# More than one damaged character (U+FFFD) in twenty: the text was decoded wrongly before it came to us.
DAMAGED_SHARE = 0.05

_BOILERPLATE = re.compile(
    "|".join(
        (
            r"\bwe use cookies\b|\buses? cookies\b|\bcookie (?:policy|notice|settings|preferences)\b",
            r"\baccept (?:all )?cookies\b",
            r"\bprivacy (?:policy|notice)\b|\bterms (?:of (?:use|service)|and conditions)\b|\badvertising policy\b",
            r"\bconsent to (?:these|the|our)\b|\bwithdraw your consent\b|\bthird[- ]party partners\b|\bmarketing purposes\b",
            r"\ball rights reserved\b|\bcopyright (?:©|\(c\)|\d{4})|©\s*\d{4}",
            r"\b(?:does|do) not provide medical advice\b",
            r"\bnot (?:intended )?(?:as |to be )?a substitute for (?:professional )?medical\b",
            r"\bfor (?:general )?(?:informational|information|educational) purposes only\b",
            r"\bgeneral informational purposes\b|\bnever (?:ignore|disregard) professional medical advice\b",
            r"\bsubscribe to (?:our|the)\b|\bsign up for (?:our|the)\b.*\bnewsletter\b|\bskip to (?:main )?content\b",
            r"\bmay have a medical emergency\b.{0,40}\bcall\b",
        )
    ),
    re.IGNORECASE,
)
_LETTER = re.compile(r"[^\W\d_]")
_WORD_OR_SIGN = re.compile(r"[<>≤≥=±+%/]|[-−–]?\d+(?:[.,]\d+)*|\w+")


@dataclass(frozen=True, slots=True)
class Rejected:
    """A passage left out of the index, its place in the source file, and the reason."""

    source: str
    start: int
    end: int
    reason: Reason
    text: str


def clean(items: Iterable[Passage | Unreadable]) -> Iterator[Passage | Rejected | Unreadable]:
    """Yield each passage to keep and a Rejected for each other, in order; what was unreadable passes through."""
    seen: set[bytes] = set()
    for item in items:
        if isinstance(item, Unreadable):
            yield item
            continue
        reason = _reason(item, seen)
        yield Rejected(item.source, item.start, item.end, reason, item.text) if reason else item


def _reason(passage: Passage, seen: set[bytes]) -> Reason | None:
    if is_fragment(passage):
        return "fragment"
    if is_boilerplate(passage.text):
        return "boilerplate"
    # The same words under another heading answer another question and stay; without a new heading they are a duplicate.
    # Digests of 16 bytes stand for the words, so that a million passages take 200 MB and not their text.
    heading = _folded(passage.context)
    words = _digest(_folded(passage.text))
    both = _digest(f"{heading}\0", words)
    if words in seen and (not heading or both in seen):
        return "duplicate"
    seen.update((words, both))
    return None


def is_fragment(passage: Passage) -> bool:
    """Say whether what the passage holds is too little, or too damaged, to be read on its own."""
    letters = len(_LETTER.findall(passage.text))
    if passage.text.count("\ufffd") > DAMAGED_SHARE * len(passage.text):
        return True
    if passage.heading:
        return letters == 0
    return letters < FRAGMENT_LETTERS and len(passage.text.split()) < FRAGMENT_WORDS


def is_boilerplate(text: str) -> bool:
    """Say whether the text is mostly about the site it was taken from: cookies, consent, rights, disclaimers."""
    sentences = split_sentences(text)
    about_site = sum(s.end - s.start for s in sentences if _BOILERPLATE.search(text, s.start, s.end))
    return about_site >= BOILERPLATE_SHARE * max(1, sum(s.end - s.start for s in sentences))


def _digest(text: str, before: bytes = b"") -> bytes:
    return hashlib.blake2b(before + text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _folded(text: str) -> str:
    """Return the text's words, numbers and signs: "below 2.5" and "below -2.5" are not the same, nor "< 15" and "> 15"."""
    return " ".join(_WORD_OR_SIGN.findall(text.casefold()))
