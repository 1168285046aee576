"""The red-flag rules as values: reads red_flags.toml, checks it, and refuses it in words when something is amiss.

Concepts are lists of phrases; a family is a card and the combinations of concepts that show it. Nothing here reads a
message; see triage.py. Filing the phrases takes half a second, so it is done once after a change, into red_flags.json, by the
first process that needs them or beforehand:

    python -m qa.flags
"""

import gc
import hashlib
import json
import os
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

from qa.answer import Alert, AlertSource, Level
from qa.assertion import LISTS, Kind
from qa.message import read
from qa.phrase import Phrase, Phrasebook, PhraseError, file_phrases, parse
from qa.vocabulary import Vocabulary, written_vocabulary

RULES_FILE = Path(__file__).with_name("red_flags.toml")
FILED_RULES = Path(__file__).with_name("red_flags.json")
_FILING_MODULES = ("flags.py", "message.py", "phrase.py", "slips.py", "vocabulary.py", "assertion.py")
_LEVELS: dict[str, Level] = {level: level for level in get_args(Level)}
_MASKS = ("figures", "elsewhere")


class RedFlagsError(ValueError):
    """The red-flag file cannot be used; the message says where and what was expected."""


@dataclass(frozen=True, slots=True)
class Family:
    """A card and when to show it: every concept of any one row of ``when``, and none of ``unless``."""

    id: str
    alert: Alert
    when: tuple[frozenset[str], ...]
    unless: frozenset[str]
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    first: frozenset[str]  # one concept of every row: without any of them no row can be complete

    def could_match(self, present: AbstractSet[str]) -> bool:
        """Tell whether every concept of some row is among those present."""
        return not self.first.isdisjoint(present) and any(row <= present for row in self.when)


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything triage needs, in the order of the file.

    ``phrases`` hold the words of the concepts, ``kinds`` how time weakens each. ``telling`` are the keys that any of them
    uses, but for ``asides``, which may stand between any two words.
    """

    language: Phrasebook
    masks: Phrasebook
    phrases: Phrasebook
    telling: frozenset[str]
    asides: frozenset[str]
    kinds: Mapping[str, Kind]
    families: tuple[Family, ...]
    vocabulary: Vocabulary


@cache
def load_rules() -> Rules:
    """Return the rules that ship with this package, read once; the garbage collector is kept from walking through them.

    They are taken as filed where they were filed from the very file and code that are here, and otherwise filed anew, which
    takes half a second and gives the same; the next process finds them filed, where this package's folder may be written to.
    """
    filed = filed_rules(FILED_RULES)
    if filed is None:
        filed = file_rules(_read(RULES_FILE))
        with suppress(OSError):
            write_filed_rules(FILED_RULES)
    rules = _rules(filed)
    gc.freeze()
    return rules


def read_rules(path: Path) -> Rules:
    """Read and check a red-flag file; raise RedFlagsError where it is not as expected."""
    return build_rules(_read(path))


def build_rules(data: Mapping[str, Any]) -> Rules:
    """Turn parsed TOML into rules; raise RedFlagsError where a part is missing, unknown or of the wrong type."""
    return _rules(file_rules(data))


def write_filed_rules(path: Path) -> None:
    """File the rules that ship with this package, so that no process that reads them has to."""
    filed = {"made_from": _made_from(), **file_rules(_read(RULES_FILE))}
    text = json.dumps(filed, ensure_ascii=False, separators=(",", ":")) + "\n"
    unfinished = path.with_name(f".{path.name}-{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8", newline="\n")
    unfinished.replace(path)


def filed_rules(path: Path) -> Mapping[str, Any] | None:
    """Return the rules as filed there, or None where they were filed from another file or by other code than is here."""
    try:
        filed: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return filed if filed["made_from"] == _made_from() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _made_from() -> str:
    """Return the SHA-256 of the red-flag file and of the modules that file it."""
    digest = hashlib.sha256()
    for name in (RULES_FILE.name, *_FILING_MODULES):
        digest.update(RULES_FILE.with_name(name).read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RedFlagsError(f"cannot read the red flags in {path}: {error}") from error


def file_rules(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return checked rules as JSON can hold them, their phrases filed; raise RedFlagsError as ``build_rules`` does."""
    words = _table(data, "language")
    fillers = frozenset(_texts(words, "fillers", "[language]"))
    language = {name: _phrases(words, name, "[language]", frozenset()) for name in LISTS}
    masks = {name: _phrases(words, name, "[language]", frozenset()) for name in _MASKS}
    ideas = _ideas(data, fillers)
    families = _families(data, set(ideas))
    everything = [phrase for group in (language, masks, ideas) for phrases in group.values() for phrase in phrases]
    lists = {name: _texts(words, name, "[language]") for name in ("lookalikes", "fillers", "ordinary", "noise")}
    vocabulary = written_vocabulary(everything, lists)
    asides = _texts(words, "asides", "[language]")
    often = _key_counts(families, Vocabulary(vocabulary))
    _kinds(data, ideas)
    return {
        "language": file_phrases(language, often),
        "masks": file_phrases(masks, often),
        "phrases": file_phrases(ideas, often),
        "telling": sorted({key for phrases in ideas.values() for phrase in phrases for key in phrase.keys}.difference(asides)),
        "asides": asides,
        "time": data["time"],
        "family": data["family"],
        "vocabulary": vocabulary,
    }


def _rules(filed: Mapping[str, Any]) -> Rules:
    """Return the rules of what ``file_rules`` gave."""
    vocabulary = Vocabulary(filed["vocabulary"])
    phrases = Phrasebook(filed["phrases"], frozenset(filed["vocabulary"]["fillers"]))
    return Rules(
        language=Phrasebook(filed["language"]),
        masks=Phrasebook(filed["masks"]),
        phrases=phrases,
        telling=frozenset(filed["telling"]),
        asides=frozenset(filed["asides"]),
        kinds=_kinds(filed, phrases.names),
        families=_families(filed, set(phrases.names)),
        vocabulary=vocabulary,
    )


def _families(data: Mapping[str, Any], concepts: AbstractSet[str]) -> tuple[Family, ...]:
    families = tuple(_family(item, place, concepts) for place, item in enumerate(_tables(data, "family"), start=1))
    _check_unique([family.id for family in families])
    return families


def _key_counts(families: Iterable[Family], vocabulary: Vocabulary) -> Mapping[str, int]:
    """Count how often the words of the families' own examples fill each key; what is rare is looked for first."""
    texts = [text for family in families for text in (*family.positive, *family.negative)]
    return Counter(
        key for text in texts for token in read(text, vocabulary.parts_of).tokens for key in vocabulary.keys_of(token.word)
    )


def _ideas(data: Mapping[str, Any], fillers: frozenset[str]) -> dict[str, tuple[Phrase, ...]]:
    """Read [concepts]; each may use only those above it."""
    table = _table(data, "concepts")
    ideas: dict[str, tuple[Phrase, ...]] = {}
    for name in table:
        phrases = _phrases(table, name, "[concepts]", fillers)
        for key in sorted(key for phrase in phrases for key in phrase.keys if key.startswith("{")):
            if key[1:-1] not in ideas:
                raise RedFlagsError(f"the concept {name!r} uses {key}, which is not defined above it")
        ideas[name] = phrases
    return ideas


def _kinds(data: Mapping[str, Any], concepts: Iterable[str]) -> dict[str, Kind]:
    kinds = _table(data, "time")
    events, lasting = set(_texts(kinds, "events", "[time]")), set(_texts(kinds, "lasting", "[time]"))
    if unknown := sorted((events | lasting).difference(concepts)):
        raise RedFlagsError(f"[time] names {unknown[0]!r}, which is no concept; name one of [concepts]")
    return {name: "event" if name in events else "lasting" if name in lasting else "symptom" for name in concepts}


def _family(item: Mapping[str, Any], place: int, names: AbstractSet[str]) -> Family:
    where = f"[[family]] number {place} ({item.get('id', 'no id')})"
    examples = _table(item, "examples", where)
    when = tuple(frozenset(row) for row in _rows(item, where))
    unless = frozenset(_texts(item, "unless", where)) if "unless" in item else frozenset[str]()
    if unknown := sorted(unless.union(*when) - names):
        raise RedFlagsError(f"{where} needs the concept {unknown[0]!r}, which [concepts] does not define")
    return Family(
        id=_text(item, "id", where),
        alert=_alert(item, where),
        when=when,
        unless=unless,
        positive=_texts(examples, "positive", where),
        negative=_texts(examples, "negative", where),
        first=frozenset(min(row) for row in when),
    )


def _alert(item: Mapping[str, Any], where: str) -> Alert:
    level = _text(item, "level", where)
    if level not in _LEVELS:
        raise RedFlagsError(f"{where} has the level {level!r}; expected one of {', '.join(_LEVELS)}")
    card = _table(item, "card", where)
    source = _table(card, "source", where)
    url = _text(source, "url", where)
    if not url.startswith("https://"):
        raise RedFlagsError(f"{where} cites {url!r}; a source's address must begin with https://")
    return Alert(
        level=_LEVELS[level],
        title=_text(card, "title", where),
        message=_text(card, "message", where),
        actions=_texts(card, "actions", where),
        source=AlertSource(_text(source, "title", where), _text(source, "publisher", where), url),
    )


def _rows(item: Mapping[str, Any], where: str) -> list[list[str]]:
    rows = item.get("when")
    if not isinstance(rows, list) or not rows:
        raise RedFlagsError(f"{where} has no 'when'; expected a list of rows, each a list of concept names")
    for row in rows:
        if not isinstance(row, list) or not row or not all(isinstance(name, str) for name in row):
            raise RedFlagsError(f"{where} has the row {row!r} in 'when'; expected a list of concept names")
    return rows


def _check_unique(ids: list[str]) -> None:
    if not ids:
        raise RedFlagsError("the file has no [[family]]; expected at least one")
    if repeated := sorted({name for name in ids if ids.count(name) > 1}):
        raise RedFlagsError(f"two families are called {repeated[0]!r}; give each its own id")


def _phrases(table: Mapping[str, Any], name: str, where: str, fillers: frozenset[str]) -> tuple[Phrase, ...]:
    try:
        return tuple(phrase for text in _texts(table, name, where) for phrase in parse(text, fillers))
    except PhraseError as error:
        raise RedFlagsError(f"{where} {name}: {error}") from error


def _table(table: Mapping[str, Any], name: str, where: str = "the file") -> dict[str, Any]:
    value = table.get(name)
    if not isinstance(value, dict):
        raise RedFlagsError(f"{where} has no table {name!r}; found {value!r}")
    return value


def _tables(table: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    value = table.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise RedFlagsError(f"expected [[{name}]] tables, found {value!r}")
    return value


def _text(table: Mapping[str, Any], name: str, where: str) -> str:
    value = table.get(name)
    if not isinstance(value, str) or not value.strip():
        raise RedFlagsError(f"{where} has no text {name!r}; found {value!r}")
    return value


def _texts(table: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    value = table.get(name)
    if not isinstance(value, list) or not value or not all(isinstance(text, str) and text for text in value):
        raise RedFlagsError(f"{where} has no list of texts {name!r}; found {value!r}")
    return tuple(value)


if __name__ == "__main__":
    write_filed_rules(FILED_RULES)
