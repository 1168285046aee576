"""One word to the word meant: a noisy-channel speller over the corpus vocabulary, ordinary English and names of medicines.

A known word is left alone. For another, every word within two edits is a reading, weighed by how easily the slip happens
and how often the word is seen; the likeliest is taken only where it is clearly so, and never across a medical prefix or
ending ("hypo-" to "hyper-", "-osis" to "-itis") or from one medicine to another. The weights were chosen on slips made of
the words of eval medquad train and on its and eval pages' right words, by benchmarks/misspelling.py.
"""

import math
from collections.abc import Iterable
from functools import lru_cache

from rapidfuzz.distance import OSA, Levenshtein

from index.medicines import REACH, is_medicine, medicines, slip_of
from index.vocabulary import Vocabulary, english, sound

# How much of a word's probability comes from the corpus, the rest from English at large.
CORPUS_SHARE = 0.5
# Nats that one whole slip costs: about one word in 400 has a given slip.
SLIP = 6.0
# The likeliest reading is taken when it holds this share of all readings' probability.
SURE = 0.6
# Readings weighed in full, the nearest and most frequent.
READINGS = 24
# The dearest slip taken, in whole slips, by the letters of the word typed.
_DEAREST = {3: 1.0, 4: 1.3, 5: 1.5, 6: 2.2, 7: 2.4}
_DEAREST_LONG = 2.6
# A seldom word that is no word of the corpus may be a slip of one this frequent in English ("wat", "wen").
EVERYDAY = 400_000_000
EVERYDAY_RATIO = 200
_VOWELS = frozenset("aeiouy")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_ALIKE = frozenset(frozenset(pair) for pair in "cs ck sz fv gj dt mn bp ei ea ao iy xs kq".split())
_PREFIXES = (
    ("hypo", "hyper"), ("inter", "intra", "infra", "supra"), ("abd", "add"), ("macro", "micro"), ("endo", "exo", "ecto", "epi"),
    ("homo", "hetero"), ("ante", "anti"), ("mono", "poly"), ("brady", "tachy"), ("pre", "post"), ("ili", "ile"),
)  # fmt: skip
_ENDINGS = (
    "itis osis lysis listhesis oma ectomy otomy ostomy plasty aemia emia uria pathy algia gram scopy graphy plegia paresis"
    " trophy lithiasis megaly ptosis desis penia philia rrhagia rrhaphy centesis tomy"
).split()
_NEGATIONS = frozenset(
    "no not nor non none never neither without cannot cant wont dont doesnt didnt isnt arent wasnt werent havent hasnt hadnt"
    " couldnt shouldnt wouldnt nothing nobody nowhere unable".split()
)


class Speller:
    """Corrects words for one corpus; ``kept`` are further words that are right as they stand."""

    def __init__(self, vocabulary: Vocabulary, kept: Iterable[str] = ()) -> None:
        self._corpus = vocabulary
        self._english = english()
        self._kept = frozenset(kept)
        names = sorted(medicines())
        self._names = Vocabulary(names, [1] * len(names), chunks=0)
        everyday = [word for word in self._english if self._english.count(word) >= EVERYDAY and len(word) > 3]
        self._frequent = Vocabulary(everyday, [self._english.count(word) for word in everyday], chunks=0)

    def known(self, word: str) -> bool:
        """Say whether the word, lower case, stands in the corpus, in English, among medicines, or is kept; also inflected."""
        return any(self._listed(form) for form in _base_forms(word))

    def _listed(self, word: str) -> bool:
        return word in self._corpus or word in self._english or word in self._kept or word in self._names

    def correct(self, word: str) -> str | None:
        """Return the word meant by a lower-case word without possessive ending, or None to leave it."""
        if len(word) < 3 or not word.isascii() or is_negation(word):
            return None
        if self.known(word):
            return self._everyday(word)
        reach = 1 if len(word) <= 5 else REACH
        near = {**self._english.near(word, reach), **self._corpus.near(word, reach)}
        names = self._names.near(word, reach)
        names |= {name: apart for name, apart in near.items() if is_medicine(name)}
        others = {other: apart for other, apart in near.items() if other not in names and _same_kind(word, other)}
        nearest_name = min(names.values(), default=REACH + 1)
        nearest_other = min(others.values(), default=REACH + 1)
        if names and (nearest_name <= nearest_other or is_medicine(word)):
            return slip_of(word, names) if nearest_name < nearest_other else None
        if is_medicine(word):
            return None
        return self._likeliest(word, {other for other, apart in others.items() if apart < nearest_name}) or self.alike(word)

    def split(self, word: str) -> str | None:
        """Return two words of the corpus that were typed as one, or None."""
        best, chance = None, 0.0
        for at in range(3, len(word) - 2):
            left, right = word[:at], word[at:]
            if left in self._corpus and right in self._corpus and left in self._english and right in self._english:
                share = self._corpus.count(left) * self._corpus.count(right)
                if share > chance:
                    best, chance = f"{left} {right}", share
        return best

    def _likeliest(self, word: str, readings: Iterable[str]) -> str | None:
        kept = [reading for reading in readings if not is_negation(reading)]
        if len(kept) > READINGS:
            kept = sorted(kept, key=lambda reading: (-self._chance(reading), reading))[:READINGS]
        costs = {reading: slip_cost(word, reading) for reading in kept}
        weights = {reading: self._chance(reading) * math.exp(-SLIP * cost) for reading, cost in costs.items()}
        best = max(sorted(weights), key=weights.__getitem__, default=None)
        if best is None or costs[best] > _DEAREST.get(len(word), _DEAREST_LONG):
            return None
        if len(word) == 3 and best not in self._corpus:
            return None
        return best if weights[best] >= SURE * sum(weights.values()) else None

    def _chance(self, word: str) -> float:
        corpus = self._corpus.count(word) / self._corpus.total
        return CORPUS_SHARE * corpus + (1 - CORPUS_SHARE) * self._english.count(word) / self._english.total

    def _everyday(self, word: str) -> str | None:
        """Return the everyday word of which a seldom word, unknown to the corpus, is most likely a slip, or None."""
        if word in self._corpus or word in self._kept or word in self._names or word not in self._english:
            return None
        seen = EVERYDAY_RATIO * self._english.count(word)
        near = (other for other in self._frequent.near(word, 1) if self._frequent.count(other) >= seen)
        return self._likeliest(word, [other for other in near if other in self._corpus])

    def alike(self, word: str) -> str | None:
        """Return the one word of the corpus that sounds like the word, or None."""
        if len(word) < 6:
            return None
        near = self._corpus.alike(word, 1 if len(word) >= 7 else 0)
        near = {other: apart for other, apart in near.items() if len(other) >= 5 and _same_kind(word, other)}
        if not near or any(is_medicine(other) for other in near):
            return None
        nearest = min(near.values())
        best = [other for other, apart in near.items() if apart == nearest and sound(other)[0] == sound(word)[0]]
        best.sort(key=lambda other: (-self._corpus.count(other), other))
        return best[0] if best and len({sound(other) for other in best}) == 1 else None


def is_negation(word: str) -> bool:
    """Say whether the word negates; such a word is neither changed nor put in a word's place."""
    return word in _NEGATIONS or word.endswith("n't")


def slip_cost(typed: str, meant: str) -> float:
    """Return how dear a slip it is to type one word for the other: 1 for a common one, more for a strange one."""
    steps = Levenshtein.editops(typed, meant)
    swaps = len(steps) - OSA.distance(typed, meant)
    if swaps > 0:
        rest = OSA.distance(typed, meant) - swaps
        return 0.8 * swaps + 1.1 * rest + (0.6 if typed[0] != meant[0] else 0.0)
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
        own, its = _start(word, family), _start(other, family)
        if own and its and own != its:
            return False
    own, its = _end(word), _end(other)
    return not own or not its or own == its or {own, its} == {"aemia", "emia"}


def _start(word: str, family: tuple[str, ...]) -> str:
    return max((start for start in family if word.startswith(start)), key=len, default="")


def _end(word: str) -> str:
    return max((end for end in _ENDINGS if word.endswith(end)), key=len, default="")
