"""How a word sounds: a spelling that words of one sound share, so that "newmonia" finds "pneumonia"."""

import re
from functools import lru_cache

# Spellings of one sound, folded in this order: "pneumonia" and "newmonia" meet in "numonia".
_SOUNDS = (
    (r"^(?:pn|kn|gn|mn)", "n"),
    (r"^ps", "s"),
    (r"^wr", "r"),
    (r"ph", "f"),
    (r"r+h", "r"),
    (r"ae|oe", "e"),
    (r"eu|ew|ui|ue|oo", "u"),
    (r"sc(?=[eiy])|x(?=[ei])|c(?=[eiy])|z", "s"),
    (r"ck|ch(?=[rl])|q|c(?!h)", "k"),
    (r"y", "i"),
    (r"(.)\1+", r"\1"),
)


def sound(word: str) -> str:
    """Return a spelling that words of one sound share."""
    for pattern, replacement in _patterns():
        word = pattern.sub(replacement, word)
    return word


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the spellings as patterns, made when first asked for: most questions need none."""
    return tuple((re.compile(pattern), letters) for pattern, letters in _SOUNDS)
