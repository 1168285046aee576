"""What could not be answered: how often each word of the corpus stood in questions that no passage answered.

    python -m web.unanswered FILE [--json]

Kept are counts by calendar week, reason and single word, never a question nor which words stood together. What the report
withholds and what the file itself gives away is said in docs/deploy.md.
"""

import argparse
import json
import logging
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from fastapi import APIRouter, FastAPI

from index.stop_words import STOP_WORDS
from index.vocabulary import Vocabulary, words_of
from qa.answer import Answer
from web.store import Store, StoreError, read

# Groups of fewer questions are never reported, and not kept once their week is over; nor are fewer ever written at a time.
LEAST = 5
# The questions themselves are counted beside their words, under a word that no corpus holds.
QUESTIONS = ""

SCHEMA = """
CREATE TABLE IF NOT EXISTS unanswered (
    week TEXT NOT NULL,
    reason TEXT NOT NULL,
    term TEXT NOT NULL,
    questions INTEGER NOT NULL,
    PRIMARY KEY (week, reason, term)
) WITHOUT ROWID
"""
_ADD = "INSERT INTO unanswered VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET questions = questions + excluded.questions"
_PRUNE = f"DELETE FROM unanswered WHERE week < ? AND questions < {LEAST}"
_READ = f"SELECT week, reason, term, questions FROM unanswered WHERE week < ? AND questions >= {LEAST} ORDER BY 1, 2, 4 DESC, 3"

_Batch = tuple[str, str]
_Group = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Term:
    """A word of the corpus, and how many unanswered questions it stood in."""

    term: str
    questions: int


@dataclass(frozen=True, slots=True)
class Week:
    """What was not answered for one reason in one calendar week (ISO 8601, UTC): at least five questions, each term too."""

    week: str
    reason: str
    questions: int
    terms: tuple[Term, ...]


class Unanswered:
    """The counts of all processes in one file; counting never waits for it, and never fails because of it.

    A process adds at least five questions of a reason at a time, so that the file never tells the words of a single one; fewer
    that still wait at the end of a week, or when the process ends, are forgotten. ``vocabulary`` holds the corpus's words: of a
    question no others are counted.
    """

    def __init__(self, store: Store, vocabulary: Vocabulary) -> None:
        self.store = store
        self._vocabulary = vocabulary
        self._lock = threading.Lock()
        self._waiting: dict[_Batch, Counter[str]] = {}
        self._writing = False
        self._pruned = ""

    def note(self, question: str, answer: Answer) -> None:
        """Count the question's words if it was not answered; one that showed an emergency card is never counted."""
        if answer.status != "abstained" or answer.reason is None or answer.alert is not None:
            return
        terms = (QUESTIONS, *terms_of(question, self._vocabulary))
        with self._lock:
            waiting = self._waiting.setdefault((week_of(datetime.now(UTC)), answer.reason), Counter())
            waiting.update(terms)
            if self._writing or waiting[QUESTIONS] < LEAST:
                return
            self._writing = True
        try:
            self.store.write(self._write).add_done_callback(self._written)
        except RuntimeError:  # a question that ends after the file was closed, as the server stops
            self._writing = False

    def _write(self, connection: sqlite3.Connection) -> None:
        """Add what waits in groups of at least five; in a new week, delete the small groups of those before."""
        week = week_of(datetime.now(UTC))
        with self._lock:
            self._writing = False
            ready = {batch: terms for batch, terms in self._waiting.items() if terms[QUESTIONS] >= LEAST}
            kept = {batch: terms for batch, terms in self._waiting.items() if batch[0] == week and batch not in ready}
            self._waiting = kept
        add(connection, {(*batch, term): count for batch, terms in ready.items() for term, count in terms.items()})
        if week != self._pruned:
            prune(connection, week)
            self._pruned = week

    def _written(self, done: "Future[None]") -> None:
        if error := done.exception():
            with self._lock:
                self._writing = False  # what still waits goes with the next
            logging.getLogger(__name__).warning("unanswered questions could not be counted in %s: %s", self.store.path, error)


def open_counts(path: Path) -> Store:
    """Return the file of counts at a path, created where it is missing; raise StoreError where it cannot be written."""
    store = Store(path, SCHEMA)
    store.prepare()
    return store


def terms_of(question: str, vocabulary: Vocabulary) -> set[str]:
    """Return the words of a question that are the corpus's too, stop words left out."""
    return {word for word in words_of(question) if word not in STOP_WORDS and word in vocabulary}


def week_of(moment: datetime) -> str:
    """Return the calendar week of a moment (ISO 8601), as in ``2026-W07``; of two weeks the later one's name is greater."""
    year, week, _ = moment.isocalendar()
    return f"{year}-W{week:02}"


def add(connection: sqlite3.Connection, counts: Mapping[_Group, int]) -> None:
    """Add questions to groups of week, reason and term."""
    connection.executemany(_ADD, ((*group, count) for group, count in counts.items()))


def prune(connection: sqlite3.Connection, week: str) -> None:
    """Delete the groups of fewer than five of the weeks before this one."""
    connection.execute(_PRUNE, (week,))


def weeks_in(path: Path, now: datetime) -> list[Week]:
    """Return what is reported of a file: groups of at least five, of weeks that are over.

    A week under way is left out: two reports of it, one question apart, would tell that question's words. Raises StoreError
    where the file cannot be read.
    """
    rows = read(path, lambda connection: connection.execute(_READ, (week_of(now),)).fetchall())
    terms: dict[tuple[str, str], list[Term]] = {}
    for week, reason, term, questions in rows:
        terms.setdefault((week, reason), []).append(Term(term, questions))
    found = []
    for (week, reason), counted in terms.items():
        questions = next((each.questions for each in counted if each.term == QUESTIONS), 0)
        found.append(Week(week, reason, questions, tuple(each for each in counted if each.term != QUESTIONS)))
    return found


def report(weeks: Sequence[Week]) -> str:
    """Return the weeks as lines to read."""
    lines = [f"groups of fewer than {LEAST} questions, and the week under way, are withheld"]
    for week in weeks:
        lines += ["", f"{week.week}  {week.reason}: {week.questions} questions"]
        lines += [f"{each.questions:>8}  {each.term}" for each in week.terms]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report and return the exit code: 0, or 1 where the file cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m web.unanswered", description="Print which words went unanswered.")
    parser.add_argument("file", type=Path, help="what CITEWELL_UNANSWERED names")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    given = parser.parse_args(arguments)
    try:
        weeks = weeks_in(given.file, datetime.now(UTC))
    except StoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps([asdict(week) for week in weeks], indent=1) if given.json else report(weeks))
    return 0


@asynccontextmanager
async def _closing(app: FastAPI) -> AsyncIterator[None]:
    yield
    if unanswered := getattr(app.state, "unanswered", None):
        unanswered.store.close()


# No route: it writes what waits and closes the file as the application stops.
router = APIRouter(lifespan=_closing)


if __name__ == "__main__":
    sys.exit(main())
