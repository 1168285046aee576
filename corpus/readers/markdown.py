"""Markdown with front matter: one passage for each section, its references read from the list that closes it.

Front matter gives title, language, written or reviewed date, licence, publisher, url. Inline markup is left in the text
as it stands: a quote shows what the file says.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import yaml
from markdown_it import MarkdownIt

from corpus.passage import Passage, Reference
from corpus.readers.source import Place, SourceError, SourceFile, make_passage
from corpus.text import has_lone_surrogates, normalise, normalise_wrapped

_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n((?:.*?\r?\n)??)(?:---|\.\.\.)[ \t]*(?:\r?\n|$)", re.DOTALL)
_REFERENCES = re.compile(r"^References:[ \t]*\r?$", re.MULTILINE)
_REFERENCE = re.compile(r"[ \t]*[-*+] (?P<item>.*)")
_LINKED = re.compile(r"\[(?P<title>[^\]]+)\]\((?P<url>\S+?)\)(?:,\s*(?P<publisher>.+))?")
_ALIASES = {
    "reviewed": ("reviewed", "written", "date"),
    "license": ("license", "licence"),
    "language": ("language", "lang"),
}
# How YAML writes "no value"; everything else is read as the text that stands there ("no" is a language, not False).
_NO_VALUE = frozenset(("", "~", "null"))
_HEADING_SEPARATOR = " > "


@dataclass(frozen=True, slots=True)
class _Heading:
    level: int
    text: str
    start: int
    end: int


def read_markdown(source: SourceFile) -> Iterator[Passage]:
    """Yield one passage for each section with text, in order; raise SourceError for front matter that is not YAML."""
    matter, body_start = _front_matter(source)
    headings = _headings(source.text, body_start)
    fields = _fields(matter, headings)
    shared = _listed_references(matter.get("references"))
    for path, start, end in _sections(headings, body_start, len(source.text), fields["title"]):
        section = source.text[start:end]
        own, listed = _split_references(section)
        references = tuple(_parse_reference(normalise(item)) for item in listed) if listed else shared
        text = normalise_wrapped(own)
        if text:
            first = start + len(own) - len(own.lstrip())
            place = Place(source.name, first, start + len(own.rstrip()))
            yield make_passage(source, place, text, {**fields, "heading": path}, references=references)


def _front_matter(source: SourceFile) -> tuple[Mapping[str, Any], int]:
    found = _FRONT_MATTER.match(source.text)
    if not found:
        return {}, 0
    try:
        matter = yaml.load(found.group(1), Loader=yaml.BaseLoader) or {}
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise SourceError(f"its front matter is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(matter, dict):
        raise SourceError("its front matter is not a list of 'name: value' lines")
    return matter, found.end()


def _headings(text: str, body_start: int) -> list[_Heading]:
    # markdown-it parts lines at "\n" once "\r\n" is "\n"; a lone "\r" is a line break to it as well.
    lines = re.split(r"(?<=\n)|(?<=\r)(?!\n)", text[body_start:])
    offsets = [body_start]
    for line in lines:
        offsets.append(offsets[-1] + len(line))
    tokens = MarkdownIt("commonmark").parse(text[body_start:])
    found = []
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open" and opening.level == 0 and opening.map:
            first, last = opening.map
            found.append(_Heading(int(opening.tag[1]), normalise(inline.content), offsets[first], offsets[last]))
    return found


def _fields(matter: Mapping[str, Any], headings: list[_Heading]) -> dict[str, str]:
    fields = {}
    for name in ("title", "url", "publisher", "reviewed", "license", "language"):
        values = [_value(matter, key) for key in _ALIASES.get(name, (name,))]
        fields[name] = next((value for value in values if value), "")
    if not fields["title"]:
        fields["title"] = next((h.text for h in headings if h.level == 1), "")
    return fields


def _value(matter: Mapping[str, Any], name: str) -> str:
    value = matter.get(name, "")
    if not isinstance(value, str) or has_lone_surrogates(value):
        raise SourceError(f"'{name}' in its front matter is not one line of text")
    return "" if value in _NO_VALUE else normalise(value)


def _sections(headings: list[_Heading], start: int, end: int, title: str) -> Iterator[tuple[str, int, int]]:
    """Yield (heading path, start, end) of the text before the first heading and of each section."""
    yield "", start, headings[0].start if headings else end
    path: list[_Heading] = []
    for i, heading in enumerate(headings):
        path = [above for above in path if above.level < heading.level] + [heading]
        names = [part.text for part in path if part.text and not (part.level == 1 and part.text == title)]
        yield _HEADING_SEPARATOR.join(names), heading.end, headings[i + 1].start if i + 1 < len(headings) else end


def _split_references(section: str) -> tuple[str, list[str]]:
    """Part a section from the list of references that closes it; the list is empty where there is none."""
    for found in _REFERENCES.finditer(section):
        lines = [line for line in section[found.end() :].splitlines() if line.strip()]
        items = [match["item"].strip() for line in lines if (match := _REFERENCE.fullmatch(line))]
        if items and len(items) == len(lines):
            return section[: found.start()], [item for item in items if item]
    return section, []


def _parse_reference(item: str) -> Reference:
    linked = _LINKED.fullmatch(item)
    if linked:
        return Reference(linked["title"], linked["publisher"] or "", linked["url"])
    title, comma, publisher = item.rpartition(", ")
    return Reference(title, publisher, "") if comma else Reference(item, "", "")


def _listed_references(listed: Any) -> tuple[Reference, ...]:
    if listed is None or (isinstance(listed, str) and listed in _NO_VALUE):
        return ()
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise SourceError("'references' in its front matter is not a list of title, publisher and url")
    return tuple(Reference(*(_value(item, key) for key in ("title", "publisher", "url"))) for item in listed)
