"""The names of medicines, and when a word may be read as a slip of one: only where no other name is within reach.

A medicine taken for another does harm, so a listed name is never changed, and a word that is near two names, or that ends
as medicines' names do, is left as it is.
"""

import re
from functools import lru_cache
from pathlib import Path

_NAMES = Path(__file__).with_name("drug_names.txt")
# Edits within which a second name makes a slip ambiguous.
REACH = 2
# A slip of two letters is read as a name only in words this long whose first and last two letters stand.
LONG_NAME = 9
# Endings by which names of medicines are formed (WHO's stems and a few older ones), for names that are not listed.
_STEM = re.compile(
    r".{2,}(?:olol|[aeo]pril|sartan|statin|mab|tinib|ciclib|rafenib|zepam|zolam|azole|cillin|[mt]ycin|micin|floxacin|oxacin"
    r"|profen|fenac|oxicam|coxib|codone|morphone|fentan[iy]l|caine|triptan|gliptin|gliflozin|glutide|glitazone|dron(?:ate|ic)"
    r"|tidine|setron|[aiou]vir|parin|xaban|gatran|thiazide|semide|lukast|[mx]eterol|dipine|zosin|barbital|oxetine|triptyline"
    r"|cycline|limus|platin|taxel|rubicin|zomib|parib|gepant|orexant|nisolone|nisone|zodone|racetam)"
)


@lru_cache(maxsize=1)
def medicines() -> frozenset[str]:
    """Return the listed names, lower case."""
    lines = _NAMES.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def is_medicine(word: str) -> bool:
    """Say whether the word, lower case, is a listed name or is formed as one."""
    return word in medicines() or _STEM.fullmatch(word) is not None


def slip_of(word: str, names: dict[str, int]) -> str | None:
    """Return the name the word is a slip of, or None; ``names`` are all names within REACH, and their distances.

    A slip seldom falls on the first letter, so a name two edits away with another one is no rival: "codene" is codeine,
    whatever lodine is.
    """
    likely = {name: apart for name, apart in names.items() if apart == 1 or name[0] == word[0]}
    if len(likely) != 1:
        return None
    ((name, distance),) = likely.items()
    if is_medicine(word) and word[-4:] != name[-4:]:  # the ending is whole: it names another substance
        return None
    if distance == 1:
        return name
    same_ends = word[:2] == name[:2] and word[-2:] == name[-2:]
    return name if same_ends and min(len(word), len(name)) >= LONG_NAME else None
