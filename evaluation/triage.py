"""How triage does on messages whose level is known: what it misses, what it gets wrong, what it shows for nothing.

A message file is tab-separated, ``level<TAB>question``, with that header; a level is ``emergency``, ``urgent``,
``crisis`` or ``none``. Nothing here reads an index or a model, and nothing decides which level is right.
"""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from qa.answer import Level
from qa.flags import load_rules
from qa.triage import URGENCY, matching_families

NONE = "none"
HEADER = "level\tquestion"
_LEVELS = (*get_args(Level), NONE)


class MessagesError(ValueError):
    """A message file is not as expected; the message names the file, the line and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Message:
    """A reader's message and the level of the card that is due, ``none`` where no card is."""

    level: str
    question: str


@dataclass(frozen=True, slots=True)
class Case:
    """A message that triage got wrong: the level due, the level shown, and the families that matched."""

    expected: str
    shown: str
    families: tuple[str, ...]
    question: str


@dataclass(frozen=True, slots=True)
class TriageReport:
    """What triage did with a set of messages; times are CPU milliseconds for one message.

    Another process on the core does not count.
    ``missed``: a card was due and none was shown, or a less urgent one. ``wrong_level``: a card of another level than
    the one due was shown; one that is less urgent stands in both lists. ``false_alarms``: a card where none was due.
    """

    due: int
    quiet: int
    missed: tuple[Case, ...]
    wrong_level: tuple[Case, ...]
    false_alarms: tuple[Case, ...]
    median_ms: float
    p99_ms: float


def read_messages(path: Path) -> tuple[Message, ...]:
    """Read a message file, or raise MessagesError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MessagesError(f"cannot read {path}: {error}") from error
    if not lines or lines[0] != HEADER:
        found = lines[0] if lines else "an empty file"
        raise MessagesError(f"{path}: expected the header {HEADER!r}, found {found!r}")
    messages = tuple(_message(path, number, line) for number, line in enumerate(lines[1:], 2) if line.strip())
    if not messages:
        raise MessagesError(f"{path} holds no messages")
    return messages


def _message(path: Path, number: int, line: str) -> Message:
    cells = line.split("\t")
    if len(cells) != 2 or cells[0] not in _LEVELS or not cells[1].strip():
        raise MessagesError(f"{path}, line {number}: expected one of {', '.join(_LEVELS)}, a tab and a message, found {line!r}")
    return Message(*cells)


def assess_messages(messages: Sequence[Message]) -> TriageReport:
    """Run triage once over every message and sort out what it got wrong."""
    load_rules()
    cases: list[Case] = []
    times: list[float] = []
    for message in messages:
        begun = time.thread_time()
        families = matching_families(message.question)
        times.append((time.thread_time() - begun) * 1000)
        shown = families[0].alert.level if families else NONE
        cases.append(Case(message.level, shown, tuple(family.id for family in families), message.question))
    wrong = [case for case in cases if case.shown != case.expected]
    due = sum(message.level != NONE for message in messages)
    return TriageReport(
        due=due,
        quiet=len(messages) - due,
        missed=tuple(case for case in wrong if _is_missed(case)),
        wrong_level=tuple(case for case in wrong if NONE not in (case.expected, case.shown)),
        false_alarms=tuple(case for case in wrong if case.expected == NONE),
        median_ms=statistics.median(times),
        p99_ms=_quantile(times, 0.99),
    )


def _is_missed(case: Case) -> bool:
    ranks = [*URGENCY, NONE]
    return case.expected != NONE and ranks.index(case.shown) > ranks.index(case.expected)


def _quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def render(report: TriageReport) -> str:
    """Return the report as text: the counts, then each case by name."""
    total = report.due + report.quiet
    lines = [
        f"{total} messages: a card is due for {report.due}, none for {report.quiet}",
        f"missed        {len(report.missed)} of {report.due}  (no card, or a less urgent one than due)",
        f"wrong level   {len(report.wrong_level)} of {report.due}  (another level than due; a less urgent one is missed too)",
        f"false alarms  {_of(len(report.false_alarms), report.quiet)}",
        f"time          median {report.median_ms:.2f} ms, 99th percentile {report.p99_ms:.2f} ms a message (CPU)",
    ]
    groups = (("missed", report.missed), ("wrong level", report.wrong_level), ("false alarm", report.false_alarms))
    for name, cases in groups:
        lines += [_line(name, case) for case in cases]
    return "\n".join(lines)


def _of(count: int, total: int) -> str:
    return f"{count} of {total}  ({count / total:.1%})" if total else f"{count} of {total}"


def _line(name: str, case: Case) -> str:
    families = ", ".join(case.families) or "no family"
    return f"{name}: due {case.expected}, shown {case.shown} ({families}): {case.question}"
