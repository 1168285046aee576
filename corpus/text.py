"""The one normalisation every text goes through: white space, line breaks, Unicode NFC. Nothing else is changed.

What is kept of the layout is its lines: one line break parts the lines of a list or a table, an empty line parts
paragraphs.
"""

import re
import unicodedata

from corpus.lists import starts_line

# Line and paragraph separators that files carry besides "\n".
_LINE_BREAKS = re.compile(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
# Any other white space, control characters, the zero-width space and the byte-order mark.
_BLANKS = re.compile(r"(?:[^\S\n]|[\x00-\x09\x0e-\x1f\x7f-\x84\x86-\x9f\u200b\ufeff])+")
_EMPTY_LINES = re.compile(r"\n{3,}")


def normalise(text: str) -> str:
    """Return the text with white space collapsed within lines, at most one empty line in a row, in Unicode NFC.

    Applying it twice changes nothing.
    """
    lines = _BLANKS.sub(" ", _LINE_BREAKS.sub("\n", text)).split("\n")
    joined = "\n".join(line.strip(" ") for line in lines).strip("\n")
    return unicodedata.normalize("NFC", _EMPTY_LINES.sub("\n\n", joined))


def normalise_wrapped(text: str) -> str:
    """Return the normalised text with soft line wraps joined: a line that need not stand alone continues."""
    lines = normalise(text).split("\n")
    joined: list[str] = []
    for line in lines:
        if joined and joined[-1] and line and not starts_line(line):
            joined[-1] += " " + line
        else:
            joined.append(line)
    return unicodedata.normalize("NFC", "\n".join(joined))


def has_lone_surrogates(text: str) -> bool:
    """Say whether the text holds a surrogate code point, which no UTF-8 file or answer can carry."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
