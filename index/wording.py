"""A question as typed to the words to search for: slips of the keys put right, lay words given their medical names.

The question itself is never thrown away: ``corrected`` differs from it only where a word was misspelt, and the medical
names stand beside it. Quoted strings, numbers, units, negations and names of medicines are left as they are. Nothing here
searches; which of the parts are searched for is local.py's business.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from index.lay_terms import lay_words, matches, texting
from index.medicines import is_medicine
from index.spelling import Speller, is_negation
from index.vocabulary import WORD, Vocabulary, english, plain

# Words looked at: a question is never longer, and a pasted page should not be corrected.
MOST_WORDS = 300
_QUOTED = re.compile(r"\"[^\"\n]*\"|“[^”\n]*”|«[^»\n]*»|(?<!\w)['‘][^'’‘\n]+['’](?!\w)")
_SPACES = re.compile(r"[ \t\u00a0]+")
_GAP = re.compile(r"[\s\u00a0]*[-‐‑]?[\s\u00a0]*")
_UNITS = frozenset(
    "mg mcg ug kg ml dl cl cm mm km lb lbs oz st ft hr hrs min mins sec secs wk wks mth mths yr yrs bpm mmhg iu mmol mol kcal"
    " pm am".split()
)
# A run of these beside a word makes it part of an address, a code or a formula, not a word.
_NO_WORD_BESIDE = frozenset("@#\\/_=<>&%")


@dataclass(frozen=True, slots=True)
class Change:
    """What was done about ``question[start:end]``: a spelling put right, or medical names (comma-separated) for a lay word."""

    start: int
    end: int
    original: str
    replacement: str
    kind: Literal["spelling", "lay"]


@dataclass(frozen=True, slots=True)
class Wording:
    """A question with its misspelt words put right, the medical names of its lay words, and where either was done."""

    question: str
    corrected: str
    expansions: tuple[str, ...]
    changes: tuple[Change, ...]

    @classmethod
    def as_typed(cls, question: str) -> "Wording":
        """Return the wording of a question that is searched for as it stands."""
        return cls(question, question, (), ())

    @property
    def translated(self) -> str:
        """The corrected question with each lay phrase replaced by its first medical name."""
        return _replaced(self.question, [(c.start, c.end, c.replacement.partition(", ")[0]) for c in _outermost(self.changes)])

    @property
    def searched_as(self) -> str | None:
        """The corrected question, and in brackets the medical names searched for its lay words; None where it is as typed."""
        if not self.changes:
            return None
        lay = (change for change in _outermost(self.changes) if change.kind == "lay")
        names = dict.fromkeys(change.replacement.partition(", ")[0] for change in lay)
        return f"{self.corrected} ({', '.join(names)})" if names else self.corrected


@dataclass(frozen=True, slots=True)
class _Token:
    """A word of the question: where it stands, as written, and lower case as it is meant."""

    start: int
    end: int
    text: str
    meant: str


class Reworder:
    """Rewords questions for one corpus; made once when an index is opened, and safe to share between threads."""

    def __init__(self, vocabulary: Vocabulary, english_words: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._speller = Speller(vocabulary, english_words, lay_words())

    def understands(self, question: str) -> bool:
        """Say whether any word of the question stands in the corpus, in English or in one of the lists."""
        return any(self._speller.known(plain(word)) for word in WORD.findall(question))

    def reword(self, question: str) -> Wording:
        """Return the question's wording for search."""
        quoted = [found.span() for found in _QUOTED.finditer(question)]
        tokens = [token for token in _tokens(question) if not any(a <= token.start < b for a, b in quoted)]
        shouting = question.isupper()
        meant: list[_Token] = []
        spelt: list[Change] = []
        at = 0
        while at < len(tokens):
            joined = self._joined(question, tokens[at : at + 2], shouting)
            token = joined or self._meant(question, tokens[at], shouting)
            at += 2 if joined else 1
            meant.append(token)
            if token.meant != plain(token.text):
                replacement = _in_case(token.text, token.meant)
                spelt.append(Change(token.start, token.end, token.text, replacement, "spelling"))
        corrected = _replaced(question, [(c.start, c.end, c.replacement) for c in spelt])
        lay = self._lay(question, meant, corrected)
        expansions = tuple(dict.fromkeys(term for change in lay for term in change.replacement.split(", ")))
        return Wording(question, corrected, expansions, tuple(sorted([*spelt, *lay], key=lambda c: (c.start, c.kind))))

    def _meant(self, question: str, token: _Token, shouting: bool) -> _Token:
        if not _may_change(question, token, shouting):
            return token
        bare = token.meant.removesuffix("'s")
        name = _is_name(question, token, shouting)
        found = texting().get(bare) if bare not in self._vocabulary else None
        found = found or self._speller.correct(bare, name=name)
        if found is None and not name and not self._speller.known(bare):
            found = self._speller.split(bare)
        if found is None:
            return token
        return _Token(token.start, token.end, token.text, found + token.meant[len(bare) :])

    def _joined(self, question: str, pair: Sequence[_Token], shouting: bool) -> _Token | None:
        """Return two neighbouring words as the one word of the corpus that was typed in two, or None."""
        if len(pair) < 2 or not _SPACES.fullmatch(question, pair[0].end, pair[1].start):
            return None
        words = [token.meant for token in pair]
        unknown = [word for word in words if not self._speller.known(word)]
        whole = "".join(words)
        if not unknown or min(map(len, words)) < 3 or len(whole) < 7 or any(map(is_negation, words)):
            return None
        if any(_is_name(question, token, shouting) or not _may_change(question, token, shouting) for token in pair):
            return None
        found: str | None = whole
        if self._vocabulary.count(whole) <= max(map(self._vocabulary.count, words)):
            found = None if any(map(self._speller.correct, unknown)) else self._speller.alike(whole)
        if found is None or is_medicine(found):
            return None
        return _Token(pair[0].start, pair[1].end, question[pair[0].start : pair[1].end], found)

    def _lay(self, question: str, tokens: Sequence[_Token], corrected: str) -> list[Change]:
        """Return the lay phrases with their medical names, those left out that the corpus or the question makes idle."""
        words = [(word, token.start, token.end) for token in tokens for word in token.meant.split()]
        said = " ".join(plain(word) for word in WORD.findall(corrected))
        found = []
        for first, last, names in matches([word for word, _, _ in words]):
            inner = zip(words[first:last], words[first + 1 : last], strict=False)
            if any(b[1] > a[2] and not _GAP.fullmatch(question, a[2], b[1]) for a, b in inner):
                continue
            start, end = words[first][1], words[last - 1][2]
            useful = [name for name in names if self._in_corpus(name) and f" {name} " not in f" {said} "]
            if useful:
                found.append(Change(start, end, question[start:end], ", ".join(useful), "lay"))
        return found

    def _in_corpus(self, name: str) -> bool:
        return all(plain(word) in self._vocabulary for word in WORD.findall(name))


@lru_cache(maxsize=4)
def _reworder(vocabulary: Vocabulary) -> Reworder:
    return Reworder(vocabulary, english())


def reword(question: str, vocabulary: Vocabulary) -> Wording:
    """Return the question's wording for search in the corpus that has the vocabulary, with the English of this version."""
    return _reworder(vocabulary).reword(question)


def _tokens(question: str) -> list[_Token]:
    found = []
    for match in WORD.finditer(question):
        found.append(_Token(match.start(), match.end(), match.group(), plain(match.group())))
        if len(found) == MOST_WORDS:
            break
    return found


def _may_change(question: str, token: _Token, shouting: bool) -> bool:
    """Say whether the word is prose: no unit, no acronym, no part of a number, an address or a code."""
    if token.meant in _UNITS or (token.text.isupper() and not shouting and len(token.text) <= 6):
        return False
    beside = question[max(0, token.start - 1) : token.start] + question[token.end : token.end + 1]
    if any(char in _NO_WORD_BESIDE or char.isdigit() for char in beside):
        return False
    after = question[token.end : token.end + 2]
    glued = after[:1] == "." and after[1:].isalnum()
    return not glued and (token.text.isupper() or token.text[1:] == token.text[1:].lower())


def _is_name(question: str, token: _Token, shouting: bool) -> bool:
    """Say whether the word is written as a name is: with a capital letter that no sentence begins with."""
    before = question[: token.start].rstrip(" \t\"'“‘(")
    return token.text[0].isupper() and not shouting and bool(before) and before[-1] not in ".!?:;\n-"


def _in_case(typed: str, meant: str) -> str:
    if typed.isupper() and len(typed) > 1:
        return meant.upper()
    return meant[0].upper() + meant[1:] if typed[0].isupper() else meant


def _outermost(changes: Sequence[Change]) -> list[Change]:
    """Return the changes that lie in no longer one; of two for the same words, the lay one."""
    lay = [change for change in changes if change.kind == "lay"]
    inner = [c for c in changes if c.kind == "spelling" and not any(a.start <= c.start and c.end <= a.end for a in lay)]
    return sorted([*lay, *inner], key=lambda change: change.start)


def _replaced(text: str, parts: Sequence[tuple[int, int, str]]) -> str:
    pieces, at = [], 0
    for start, end, new in parts:
        pieces += [text[at:start], new]
        at = end
    return "".join([*pieces, text[at:]])
