"""What a list is: how its items begin, what introduces it, and how far it reaches.

Used wherever text is cut, so that an item is never parted from a sentence that forbids it. The rules err on the side of
too long a list: more context than needed does no harm, a "do not" lost does.
"""

import re

# A line after a lead-in that ends with a colon is an item of its list as long as it has no more words than this; under a
# lead-in that forbids, longer lines are taken for items as well.
ITEM_WORDS = 25
FORBIDDEN_ITEM_WORDS = 60
# A line without a full stop and with no more words than this stands over what follows it, as a heading does.
HEADING_WORDS = 12

_ITEM = re.compile(
    r"(?:[-*+·–—]|\[[ xX]?\]|\(?\d{1,3}(?:\.\d{1,3}){0,3}[.)]|\(?[a-zA-Z]\)|\(?[ivxIVX]{1,5}[.)]|o)(?:\s|$)"
    r"|[•‣⁃▪▫■□●○◦►▶➤➢❌✗✘✖✓✔✅☐☑☒\uf0b7|]"
)
_OWN_LINE = re.compile(r"(?:>|```|#{1,6})(?:\s|$)")
_FORBIDS = re.compile(
    r"\b(?:not|never|nor|neither|none|no|without|unless|except\w*|stop|skip\w*|avoid\w*|refrain\w*|quit|beware|cannot|mustn|"
    r"don[’']?ts?|(?:can|do|does|should|must|would|could|need|is|are)n[’']?t|forbid\w*|forbidden|prohibit\w*|contraindicat\w*|"
    r"dangerous|harmful|unsafe|risky|bad|worse|wrong|mistakes?|myths?|warnings?|exclud\w*|rule[sd]? out)\b",
    re.IGNORECASE,
)
_FULL_STOP = re.compile(r"[.!?…。！？][\"'”’)\]]*$")


def starts_item(line: str) -> bool:
    """Say whether a line begins with a list marker or a table rule."""
    return _ITEM.match(line.lstrip()) is not None


def starts_line(line: str) -> bool:
    """Say whether a line stands on a line of its own: an item, or a quotation, a code fence or a heading in Markdown."""
    return starts_item(line) or _OWN_LINE.match(line.lstrip()) is not None


def forbids(line: str) -> bool:
    """Say whether a line holds a word that turns what follows it around: not, never, avoid, dangerous, myths ..."""
    return _FORBIDS.search(line) is not None


def is_heading(line: str) -> bool:
    """Say whether a line looks like a heading over what follows: short, no item, without a full stop or a colon."""
    short = len(line.split()) <= HEADING_WORDS
    return short and not line.endswith(":") and not _FULL_STOP.search(line) and not starts_item(line)


def may_be_item(line: str, lead: str) -> bool:
    """Say whether an unmarked line is short enough to be an item of the list that ``lead`` introduces."""
    limit = FORBIDDEN_ITEM_WORDS if lead.endswith(":") and forbids(lead) else ITEM_WORDS
    return len(line.split()) <= limit


def introduces(above: str, line: str) -> bool:
    """Say whether a line introduces the one below: by a colon, by standing over a marked item, or as a heading that forbids."""
    if above.endswith(":"):
        return starts_item(line) or may_be_item(line, above)
    if starts_item(line):
        return not starts_item(above)
    return is_heading(above) and forbids(above) and may_be_item(line, above)
