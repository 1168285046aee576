"""One word to the word meant: a noisy-channel speller over the corpus vocabulary, ordinary English and names of medicines.

A known word is left alone. For another, every word within two edits is a reading, weighed by how easily the slip happens
and how often the word is seen; the likeliest is taken only where it is clearly so, and never across a medical prefix or
ending ("hypo-" to "hyper-", "-osis" to "-itis") or from one medicine to another. The weights were chosen for few wrong
words on slips made in eval seed, eval pages and medquad train (benchmarks/misspelling.py), and for few changes in the
right words of medquad train and scifact train.
"""

import math
from collections.abc import Iterable
from functools import cached_property, lru_cache

from rapidfuzz.distance import OSA, Levenshtein

from index.medicines import REACH, is_medicine, medicines, slip_of
from index.sounds import sound
from index.vocabulary import Vocabulary
from index.words import pack

# How much of a word's probability comes from the corpus, the rest from English at large.
CORPUS_SHARE = 0.8
# Nats that one whole slip costs.
SLIP = 6.0
# Nats by which a seldom word that is none of the corpus is likelier meant as it stands than its frequency says.
REAL_WORD = 5.0
# The likeliest reading is taken when it holds this share of all readings' probability.
SURE = 0.7
# Letters of a word up to which one edit is weighed, and from which sounds may differ by one.
SHORT = 5
LONG = 7
# The dearest slip taken, in whole slips, by the letters of the word typed; and the dearest slight one.
_DEAREST = {3: 1.0, 4: 1.3, 5: 1.5, 6: 1.8, 7: 1.9}
_DEAREST_LONG = 2.0
SLIGHT = 1.0
# What it costs to write another spelling of the same sound, and of nearly the same.
SAME_SOUND = 0.9
LIKE_SOUND = 1.8
# A word of the corpus is frequent from this share of the chunks on; an English word common from this count on.
FREQUENT = 0.005
COMMON = 3_000_000
EVERYDAY = 20_000_000
# Chunks that hold a word before a word written as a name is taken for a slip of it.
NAMED = 3
# Power of a word's probability that counts: a slip of a word that matters is worth more than one of "for" or "after".
DAMPING = 0.6
# Words whose correction, and words of which it is remembered whether they are known.
REMEMBERED = 4096
_VOWELS = frozenset("aeiouy")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_ALIKE = frozenset(frozenset(pair) for pair in "cs ck sz fv gj dt mn bp ei ea ao iy xs kq".split())
_PREFIXES = (
    ("hypo", "hyper"), ("inter", "intra", "infra", "supra"), ("abd", "add"), ("macro", "micro"), ("endo", "exo", "ecto", "epi"),
    ("homo", "hetero"), ("ante", "anti"), ("mono", "poly"), ("brady", "tachy"), ("pre", "post"), ("ili", "ile"),
)  # fmt: skip
_ENDINGS = tuple(
    "itis osis lysis listhesis oma ectomy otomy ostomy plasty aemia emia uria pathy algia gram scopy graphy plegia paresis"
    " trophy lithiasis megaly ptosis desis penia philia rrhagia rrhaphy centesis tomy".split()
)
_NEGATIONS = frozenset(
    "no not nor non none never neither without cannot cant wont dont doesnt didnt isnt arent wasnt werent havent hasnt hadnt"
    " couldnt shouldnt wouldnt nothing nobody nowhere unable".split()
)


class Speller:
    """Corrects words for one corpus, beside English; ``kept`` are further words that are right as they stand.

    What it says of a word is remembered for the last words met; safe to use from several threads at once.
    """

    def __init__(self, vocabulary: Vocabulary, english: Vocabulary, kept: Iterable[str] = ()) -> None:
        self._corpus = vocabulary
        self._english = english
        self._kept = frozenset(kept)
        self._known = lru_cache(maxsize=REMEMBERED)(self._is_known)
        self._corrected = lru_cache(maxsize=REMEMBERED)(self._correct)

    def known(self, word: str) -> bool:
        """Say whether the word, lower case, stands in the corpus, in English, among medicines, or is kept; also inflected."""
        return self._known(word)

    def _is_known(self, word: str) -> bool:
        return any(self._listed(form) for form in _base_forms(word))

    def _listed(self, word: str) -> bool:
        return word in self._corpus or word in self._english or word in self._kept or word in medicines()

    def correct(self, word: str, *, name: bool = False) -> str | None:
        """Return the word meant by a lower-case word without possessive ending, or None to leave it.

        A word written as a ``name`` is changed only by a slight slip of a frequent word of the corpus.
        """
        return self._corrected(word, name)

    def _correct(self, word: str, name: bool) -> str | None:
        if len(word) < 3 or not word.isascii() or is_negation(word):
            return None
        if self.known(word):
            return None if name else self._seldom(word)
        names = self._names_near(word)
        nearest = min(names.values(), default=REACH + 1)
        for reach in (1,) if len(word) <= SHORT or name else (1, REACH):
            others = self._others(word, reach)
            if is_medicine(word) or nearest <= reach:
                return slip_of(word, names) if nearest <= reach and not others else None
            if found := self._likeliest(word, others, name=name):
                return found
        return None

    @cached_property
    def _names(self) -> Vocabulary:
        """The listed medicines, made when a word is first misspelt."""
        return Vocabulary(pack(dict.fromkeys(medicines(), 1), chunks=0))

    def _names_near(self, word: str) -> dict[str, int]:
        """Return the names of medicines within reach, listed or of the corpus, and their distances."""
        reach = 1 if len(word) <= SHORT else REACH
        names = self._names.near(word, reach)
        if names or is_medicine(word):
            names |= {other: apart for other, apart in self._corpus.near(word, reach).items() if is_medicine(other)}
        return names

    def _others(self, word: str, reach: int) -> dict[str, float]:
        """Return the words within reach that are no medicines, and what it costs to mistype each so."""
        near = self._english.near(word, reach).keys() | self._corpus.near(word, reach).keys()
        costs = {other: slip_cost(word, other) for other in near if not is_medicine(other)}
        if reach == REACH and len(word) > SHORT:
            alike = (other for other in self._corpus.alike(word, 1 if len(word) >= LONG else 0) if not is_medicine(other))
            own = sound(word)
            for other in alike:
                costs[other] = min(costs.get(other, math.inf), SAME_SOUND if sound(other) == own else LIKE_SOUND)
        return {other: cost for other, cost in costs.items() if not is_negation(other)}

    def split(self, word: str) -> str | None:
        """Return two frequent words of the corpus that were typed as one, or None."""
        least = max(2, FREQUENT * self._corpus.chunks)
        best, most = None, 0
        for at in range(3, len(word) - 2):
            left, right = self._corpus.count(word[:at]), self._corpus.count(word[at:])
            if min(left, right) >= least and left * right > most:
                best, most = f"{word[:at]} {word[at:]}", left * right
        return best

    def _likeliest(self, word: str, costs: dict[str, float], *, name: bool = False) -> str | None:
        weights = {other: self._chance(other) * math.exp(-SLIP * cost) for other, cost in costs.items()}
        if word in self._english or word in self._corpus:
            weights[word] = self._chance(word) * math.exp(REAL_WORD)
        best = max(sorted(weights), key=weights.__getitem__, default=word)
        if best == word or weights[best] < SURE * sum(weights.values()) or not _same_kind(word, best):
            return None
        dearest = SLIGHT if name else _DEAREST.get(len(word), _DEAREST_LONG)
        return best if costs[best] <= dearest and self._worth(word, best, costs[best], name=name) else None

    def _worth(self, word: str, best: str, cost: float, *, name: bool) -> bool:
        """Say whether the reading is one to search for: a word of the corpus, or a common one slightly mistyped."""
        count = max(self._corpus.count(form) for form in _base_forms(best))
        if name:
            return len(word) >= LONG and count >= NAMED
        if len(word) == 3:
            return count >= FREQUENT * self._corpus.chunks
        if count or best in self._kept:
            return True
        return cost <= SLIGHT and self._english.count(best) >= (COMMON if len(word) > SHORT else EVERYDAY)

    def _chance(self, word: str) -> float:
        corpus = self._corpus.count(word) / self._corpus.total
        whole = CORPUS_SHARE * corpus + (1 - CORPUS_SHARE) * self._english.count(word) / self._english.total
        return float(whole**DAMPING)

    def _seldom(self, word: str) -> str | None:
        """Return the far more frequent word of the corpus of which a word seldom seen is most likely a slip, or None."""
        if word in self._kept or is_medicine(word) or word not in self._english:
            return None
        if word in self._corpus or len(word) > LONG:
            return None
        near = {
            other for other in self._corpus.near(word, 1) if not is_medicine(other) and other not in (word + "s", word[:-1])
        }
        costs = {other: slip_cost(word, other) for other in near if not is_negation(other)}
        return self._likeliest(word, costs)

    def alike(self, word: str) -> str | None:
        """Return the word of the corpus that sounds just like the word, or None."""
        costs = dict.fromkeys(self._corpus.alike(word, 0), SAME_SOUND)
        return None if any(map(is_medicine, costs)) else self._likeliest(word, costs)


def is_negation(word: str) -> bool:
    """Say whether the word negates; such a word is neither changed nor put in a word's place."""
    return word in _NEGATIONS or word.endswith("n't")


def slip_cost(typed: str, meant: str) -> float:
    """Return how dear a slip it is to type one word for the other: 1 for a common one, more for a strange one."""
    steps = Levenshtein.editops(typed, meant)
    swaps = len(steps) - OSA.distance(typed, meant)
    if swaps > 0:
        rest = OSA.distance(typed, meant) - swaps
        return 0.8 * swaps + 1.1 * rest
    total = 0.0
    for step in steps:
        if step.tag == "replace":
            total += _replace_cost(typed[step.src_pos], meant[step.dest_pos])
        elif step.tag == "insert":  # a letter was dropped
            total += _drop_cost(meant, step.dest_pos)
        else:
            total += _add_cost(typed, step.src_pos)
    return total + (0.6 if typed[0] != meant[0] else 0.0)


def _replace_cost(typed: str, meant: str) -> float:
    if {typed, meant} <= _VOWELS or frozenset((typed, meant)) in _ALIKE:
        return 0.8
    return 0.9 if meant in _neighbours().get(typed, "") else 1.4


def _drop_cost(meant: str, at: int) -> float:
    letter = meant[at]
    if at == len(meant) - 1 and meant.endswith("ing"):  # "hurtin"
        return 0.4
    if letter in (meant[at - 1 : at], meant[at + 1 : at + 2]):
        return 0.6
    return 0.85 if letter in _VOWELS or letter in "hpr'" else 1.0


def _add_cost(typed: str, at: int) -> float:
    letter, beside = typed[at], typed[max(0, at - 1) : at] + typed[at + 1 : at + 2]
    if letter in beside:
        return 0.6
    near = any(letter in _neighbours().get(other, "") for other in beside)
    return 0.9 if near or letter in _VOWELS else 1.1


@lru_cache(maxsize=1)
def _neighbours() -> dict[str, str]:
    """Return the keys beside each key of a QWERTY keyboard."""
    beside: dict[str, set[str]] = {letter: set() for row in _ROWS for letter in row}
    places = {letter: (at + 0.5 * row, row) for row, letters in enumerate(_ROWS) for at, letter in enumerate(letters)}
    for letter, (x, y) in places.items():
        beside[letter] |= {other for other, (u, v) in places.items() if other != letter and abs(x - u) <= 1 and abs(y - v) <= 1}
    return {letter: "".join(sorted(others)) for letter, others in beside.items()}


def _base_forms(word: str) -> list[str]:
    """Return the word and the forms it may be an inflection of by a plain plural."""
    forms = [word]
    if len(word) > 4 and word.endswith("s") and not word.endswith("ss"):
        forms.append(word[:-1])
    if len(word) > 5 and word.endswith("ies"):
        forms.append(word[:-3] + "y")
    return forms


def _same_kind(word: str, other: str) -> bool:
    """Say whether a slip leads from one word to the other without leaving a medical prefix or ending for another."""
    for family in _PREFIXES:
        if word.startswith(family) and other.startswith(family) and _start(word, family) != _start(other, family):
            return False
    if not word.endswith(_ENDINGS) or not other.endswith(_ENDINGS):
        return True
    own, its = _end(word), _end(other)
    return own == its or {own, its} == {"aemia", "emia"}


def _start(word: str, family: tuple[str, ...]) -> str:
    return max((start for start in family if word.startswith(start)), key=len)


def _end(word: str) -> str:
    return max((end for end in _ENDINGS if word.endswith(end)), key=len)
