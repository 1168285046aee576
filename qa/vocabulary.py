"""How a word of a message is read: as itself, as a slip of the pen for a known word, or as two or three words run together.

A known word is one that a phrase uses. Long words forgive one letter added, lost, changed or swapped. A word that nobody
knows is parted where its parts are known: ``mylegs`` is ``my legs``. ``lookalikes`` are honest words that must be left alone.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from qa.message import SAME_WORD, shortened
from qa.phrase import Phrase
from qa.slips import read_slips, written_slips

Value = TypeVar("Value")

_LONG_WORD = 5  # from this length a word may differ by any one edit, its first letter kept
_LONG_STEM = 6  # shorter stems would match too many honest words by one edit
_LONG_FILLER = 6
_FREE_FIRST_LETTER = 8  # from this length the first letter may differ too
_LONGEST = 30  # letters of a word that may be parted
_MOST_PARTS = 3
_MOST_MET = 16384  # words of messages that are remembered
_LIKELY_SLIP = 5  # letters from which a slip is likelier than words run together
_SHORT_PARTS = frozenset("a ah i im in on is it its to of my me he we so no if or at as by be am up do go an us yr".split())


class Vocabulary:
    """Which keys a word of a message fills: itself, its stems, its number ranges, or one spelling slip away from them.

    ``lookalikes`` are honest words that would otherwise be taken for a misspelling or for words run together.
    """

    def __init__(self, written: Mapping[str, Any]) -> None:
        lookalikes, fillers, ordinary = (frozenset(written[name]) for name in ("lookalikes", "fillers", "ordinary"))
        self._words, self._stems = frozenset(written["words"]), frozenset(written["stems"])
        self._ranges = {key: _bounds(key) for key in written["ranges"]}
        self._fillers = fillers
        self._lookalikes = lookalikes | fillers | ordinary
        self._noise = frozenset(written["noise"])
        known = self._words | fillers | ordinary | SAME_WORD.keys()
        self._parts = frozenset(word for word in known if len(word) > 2) | _SHORT_PARTS
        self._aliases, self._long_fillers = _aliases(), _long(fillers, _LONG_FILLER)
        self._whole = _long(self._stems, _LONG_WORD)
        self._slips, self._stem_slips = read_slips(written["slips"]), read_slips(written["stem_slips"])
        self._stem_starts = frozenset(start for stem in self._stem_slips.words for start in _starts(stem))
        self._near = _Memory(self._find_near).__getitem__
        self._misspelt = _Memory(self._find_slips).__getitem__
        self.keys_of = _Memory(self._keys_of).__getitem__
        self.is_filler = _Memory(self._is_filler).__getitem__
        self.parts_of = _Memory(self._parts_of).__getitem__

    def _keys_of(self, word: str) -> frozenset[str]:
        if word[0].isdecimal():
            value = float(word)
            keys = {key for key, (low, high) in self._ranges.items() if low <= value <= high}
            return frozenset(keys | ({word} & self._words))
        keys = self._exact(word)
        if word not in self._words and word not in self._lookalikes and 3 < len(word) < 20:
            inflected = bool(keys)  # a word on a known stem is no slip for the same word with an ending
            keys |= {near for near in self._misspelt(word) if not (inflected and near.startswith(word))}
            if not keys and word.endswith("s"):  # a lost possessive
                keys = self._exact(word[:-1]) or self._misspelt(word[:-1])
        return frozenset(keys)

    def knows(self, word: str) -> bool:
        """Tell whether a word is spelt as some phrase or list has it."""
        return word in self._lookalikes or bool(self._exact(word))

    def _is_filler(self, word: str) -> bool:
        """Tell whether a word is one of the small words that concepts ignore, or a slip for a long one of them."""
        if word in self._fillers:
            return True
        return not self._long_fillers.isdisjoint(self._near(word)) and word not in self._lookalikes and not self.keys_of(word)

    def _exact(self, word: str) -> set[str]:
        keys = {f"{word[:size]}*" for size in range(2, len(word) + 1) if word[:size] in self._stems}
        return keys | ({word} & self._words)

    def _find_near(self, word: str) -> set[str]:
        """Return the words, stems, aliases and long fillers that a word may be a slip for."""
        return {near for near in self._slips.near(word) if is_slip(word, near)}

    def _find_slips(self, word: str) -> set[str]:
        slips = self._near(word)
        found = (slips & self._words) | {f"{stem}*" for stem in slips & self._whole}
        starts = _starts(word)
        for size in range(_LONG_STEM - 1, 0 if starts.isdisjoint(self._stem_starts) else len(word)):
            head = word[:size]
            found |= {f"{stem}*" for stem in self._stem_slips.near(head) if is_slip(head, stem)}
        likeliest = {near for near in found if len(near) >= _LONG_WORD and _same_letters(word, near)}
        return likeliest | {near for near in found if near.endswith("*")} if likeliest else found

    def _parts_of(self, word: str) -> tuple[str, ...]:
        """Return the words a word is made of: itself where it is known or a slip, else the fewest known words run together.

        A word that is never read gives none. A long word that could be both is a slip, unless it is a word of the rules and
        one of the smallest words.
        """
        word = word if word in self._words else shortened(word)
        if word in self._noise:
            return ()
        known = word in self._words or word in self._lookalikes or word in SAME_WORD
        if known or not 2 < len(word) <= _LONGEST or not word.isalpha():
            return (word,)
        if word.endswith("in") and f"{word}g" in self._words:
            return (f"{word}g",)
        likely = any(len(near) >= _FREE_FIRST_LETTER or _same_letters(word, near) for near in self._misspelt(word))
        if self._is_plain_pair(word) and not likely:
            return self._cut(word, 2)
        alias = max(sorted(self._near(word) & self._aliases), key=len, default="")
        if len(alias) >= _LONG_FILLER:
            return (alias,)
        if len(word) >= _LIKELY_SLIP and self._misspelt(word):
            return (word,)
        for count in range(2, _MOST_PARTS + 1):
            found = self._cut(word, count)
            if any(len(part) > 2 for part in found) or (found and "no" not in found):
                return found
        return (alias or word,)

    def _is_plain_pair(self, word: str) -> bool:
        cuts = ((word[:size], word[size:]) for size in range(1, len(word)))
        return any(
            (head in self._words and len(head) > 3 and tail in _SHORT_PARTS)
            or (head in _SHORT_PARTS and tail in self._words and len(tail) > 3)
            for head, tail in cuts
        )

    def _cut(self, word: str, count: int) -> tuple[str, ...]:
        """Return the word in ``count`` known parts, the longest first part first, or nothing."""
        if count == 1:
            return (word,) if word in self._parts else ()
        for size in range(len(word) - 1, 0, -1):
            if word[:size] in self._parts and (rest := self._cut(word[size:], count - 1)):
                return (word[:size], *rest)
        return ()


class _Memory(dict[str, Value]):
    """What a function says of the words met, until there are many."""

    def __init__(self, function: Callable[[str], Value]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, word: str) -> Value:
        if len(self) >= _MOST_MET:
            self.clear()
        value = self[word] = self._function(word)
        return value


def written_vocabulary(phrases: Iterable[Phrase], lists: Mapping[str, Iterable[str]]) -> dict[str, object]:
    """Return what a vocabulary is made of, as JSON can hold it; ``lists`` are lookalikes, fillers, ordinary words and noise."""
    keys = {key for phrase in phrases for key in phrase.keys}
    words = {key for key in keys if key[0] not in "{#" and not key.endswith("*")}
    stems = {key[:-1] for key in keys if key.endswith("*")}
    fillers = frozenset(lists["fillers"])
    forgiving = {*words, *_aliases(), *_long(fillers, _LONG_FILLER), *_long(stems, _LONG_WORD)}
    return {
        **{name: sorted(frozenset(own)) for name, own in lists.items()},
        "words": sorted(words),
        "stems": sorted(stems),
        "ranges": sorted(key for key in keys if key.startswith("#")),
        "slips": written_slips(forgiving),
        "stem_slips": written_slips(_long(stems, _LONG_STEM)),
    }


def _aliases() -> frozenset[str]:
    return _long(SAME_WORD, _LONG_WORD)


def _long(words: Iterable[str], least: int) -> frozenset[str]:
    return frozenset(word for word in words if len(word) >= least)


def _starts(word: str) -> set[str]:
    """Return the first three letters of a word and of its forms with one letter left out."""
    return {word[:3], word[1:4], word[0] + word[2:4], word[:2] + word[3:4]}


def is_slip(word: str, meant: str) -> bool:
    """Tell whether ``word`` is ``meant`` with one letter added, lost, changed or swapped with its neighbour.

    Four-letter words may only have a swap or a doubled letter; shorter ones must be exact.
    """
    if word == meant:
        return True
    swapped = len(word) == len(meant) and _is_swap(word, meant)
    if len(meant) < _LONG_WORD:
        return len(meant) == 4 and (swapped or _is_doubled(word, meant))
    if swapped:
        return True
    if word[0] != meant[0] and len(meant) < _FREE_FIRST_LETTER:
        return False
    return _one_edit(word, meant)


def _is_swap(word: str, meant: str) -> bool:
    differing = [i for i in range(len(word)) if word[i] != meant[i]]
    return (
        len(differing) == 2
        and differing[1] == differing[0] + 1
        and word[differing[0]] == meant[differing[1]]
        and word[differing[1]] == meant[differing[0]]
    )


def _same_letters(word: str, meant: str) -> bool:
    return _is_doubled(word, meant) or (len(word) == len(meant) and _is_swap(word, meant))


def _is_doubled(word: str, meant: str) -> bool:
    return any(word == meant[: i + 1] + meant[i:] for i in range(len(meant)))


def _one_edit(word: str, meant: str) -> bool:
    if abs(len(word) - len(meant)) > 1:
        return False
    same = 0
    while same < min(len(word), len(meant)) and word[same] == meant[same]:
        same += 1
    if len(word) == len(meant):
        return word[same + 1 :] == meant[same + 1 :]
    longer, shorter = (word, meant) if len(word) > len(meant) else (meant, word)
    return longer[same + 1 :] == shorter[same:]


def _bounds(key: str) -> tuple[float, float]:
    low, high = key[1:].split("-")
    return float(low), float(high)
