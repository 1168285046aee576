"""A reader's message as words, sentences, segments and clauses, ready for phrase matching.

Normalises Unicode, case, apostrophes, contractions and number words; splits at punctuation and at joining words. It
does not correct spelling and parts words run together only as it is told (vocabulary.py does both); it knows no
medicine and decides nothing.

    read("My back hurts, and I can't pee!")  ->  my back hurts | and i cant pee
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

_APOSTROPHES = re.compile(r"['’‘`´ʼ′]")
_SOFT_BREAK = re.compile(r"\n(?=\s*[a-z])(?<!\n\n)")  # a line that goes on in small letters goes on with the sentence
_LONG_RUN = re.compile(r"([^\W\d_])\1{2,}")
_PIECE = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|[.!?;\n]+|(?<!\w)[-‐‑–—]+|[-‐‑–—]+(?!\w)|[–—,:()\[\]&/]")
_NUMBERS = "_ one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()
_LOST_G = (
    "noth bleed breath burn catch com cough die do dy end feel get gett giv go hav hurt kill las li limp liv los ly mak mov "
    "not pee runn say sitt sleep stand suffer swell tak talk think tingl try walk want wee"
).split()
SAME_WORD = {
    **{f"{stem}in": f"{stem}ing" for stem in _LOST_G},
    **{word: str(number) for number, word in enumerate(_NUMBERS) if number},
    "cannot": "cant",
    "cannae": "cant",
    "cudnt": "couldnt",
    "carnt": "cant",
    "canot": "cant",
    "cannnot": "cant",
    "cnat": "cant",
    "cyaan": "cant",
    "cyan": "cant",
    "wisnae": "wasnt",
    "aboot": "about",
    "wi": "with",
    "canna": "cant",
    "couldnae": "couldnt",
    "dinnae": "dont",
    "doesnae": "doesnt",
    "didnae": "didnt",
    "isnae": "isnt",
    "wasnae": "wasnt",
    "havenae": "havent",
    "hasnae": "hasnt",
    "willnae": "wont",
    "winnae": "wont",
    "wouldnae": "wouldnt",
    "deid": "dead",
    "havnt": "havent",
    "dident": "didnt",
    "doesent": "doesnt",
    "seventeen": "17",
    "eighteen": "18",
    "nineteen": "19",
    **{word: f"{tens}0" for tens, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)},
    "n": "and",
    "an": "a",
    "&": "and",
    "/": "or",
}
_JOINED = {
    ("can", "not"): "cant",
    ("could", "not"): "couldnt",
    ("do", "not"): "dont",
    ("does", "not"): "doesnt",
    ("did", "not"): "didnt",
    ("has", "not"): "hasnt",
    ("have", "not"): "havent",
    ("had", "not"): "hadnt",
    ("is", "not"): "isnt",
    ("are", "not"): "arent",
    ("was", "not"): "wasnt",
    ("will", "not"): "wont",
    ("my", "self"): "myself",
    ("him", "self"): "himself",
    ("her", "self"): "herself",
    ("with", "out"): "without",
    ("in", "between"): "between",
    ("any", "more"): "anymore",
    ("down", "stairs"): "downstairs",
    ("up", "stairs"): "upstairs",
    ("over", "night"): "overnight",
    ("as", "though"): "like",
    ("triple", "a"): "aaa",
    ("as", "well"): "aswell",
    ("no", "can"): "cant",
}
_SMALL = "lad lass laddie lassie girl boy man woman son daughter baby bairn brother sister fella dog walk bit while".split()
_JOINED |= {("wee", noun): noun for noun in _SMALL} | {("wee", "1"): "child", ("wee", "yin"): "child"}
_LOST_APOSTROPHE = frozenset({"t", "s", "m", "ve", "re", "ll", "d"})
_SEGMENT_WORDS = frozenset(
    "and but because cos cuz coz although though however plus then while so which yet except also whereas".split()
)
TURNS = frozenset("but however although though yet except whereas".split())
SUBJECTS = frozenset("i im ive he hes she shes they theyre we weve".split())


class Token(NamedTuple):
    """One normalised word and the numbers of the sentence, the segment and the clause it stands in."""

    word: str
    sentence: int
    segment: int
    clause: int


@dataclass(frozen=True, slots=True)
class Message:
    """The words of a message in order; ``segment_openers`` holds the mark or word that opened each segment."""

    tokens: tuple[Token, ...]
    segment_openers: tuple[str, ...]


def normal_word(text: str) -> str:
    """Return one word as a message would hold it: NFKC, casefolded, no apostrophe, one spelling per number word."""
    word = _APOSTROPHES.sub("", unicodedata.normalize("NFKC", text).casefold())
    return SAME_WORD.get(word, word)


def _whole(word: str) -> tuple[str, ...]:
    return (word,)


def read(text: str, parts_of: Callable[[str], tuple[str, ...]] = _whole) -> Message:
    """Split a message into normalised words with their sentence, segment and clause; ``parts_of`` parts run-together words."""
    tokens: list[Token] = []
    openers = [""]
    sentence = clause = 0
    pending = ""
    for piece in _joined(_pieces(text, parts_of)):
        if not piece[0].isalnum():
            pending = "." if piece[0] in ".!?;\n" or pending == "." else ","
            continue
        if pending == "." and tokens:
            sentence, clause = sentence + 1, clause + 1
        if tokens and (pending or piece in _SEGMENT_WORDS):
            openers.append(piece if piece in _SEGMENT_WORDS else pending)
        if piece in TURNS or (piece in SUBJECTS and _opens_segment(tokens, openers)):
            clause += 1
        tokens.append(Token(piece, sentence, len(openers) - 1, clause))
        pending = ""
    return Message(tuple(tokens), tuple(openers))


def _opens_segment(tokens: list[Token], openers: list[str]) -> bool:
    """Tell whether the word to come is the first of its segment, or second after the joining word."""
    return bool(tokens) and (tokens[-1].segment < len(openers) - 1 or tokens[-1].word in _SEGMENT_WORDS)


def _pieces(text: str, parts_of: Callable[[str], tuple[str, ...]]) -> list[str]:
    """Return words and punctuation marks; marks are single strings that start with a non-alphanumeric character."""
    plain = _SOFT_BREAK.sub(" , ", unicodedata.normalize("NFKC", text)).casefold()
    if not plain.isascii():
        plain = "".join(c for c in plain if unicodedata.category(c) != "Cf")
    plain = _LONG_RUN.sub(r"\1", _APOSTROPHES.sub("", plain))
    return [SAME_WORD.get(part, part) for piece in _PIECE.findall(plain) for part in parts_of(piece)]


def _joined(pieces: list[str]) -> list[str]:
    """Put contractions together again: "can not" and "can t" become "cant"."""
    joined: list[str] = []
    for piece in pieces:
        before = joined[-1] if joined else ""
        if (before, piece) in _JOINED:
            joined[-1] = _JOINED[before, piece]
        elif piece in _LOST_APOSTROPHE and before.isalpha() and len(before) < 7 and (piece != "t" or before[-1] == "n"):
            joined[-1] = SAME_WORD.get(before + piece, before + piece)
        else:
            joined.append(piece)
    return joined
