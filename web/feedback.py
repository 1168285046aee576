"""Feedback: what a reader thinks of an answer, kept in a SQLite file where the operator has named one.

    python -m web.feedback FILE [--json]

Kept are the random id of the answer, the passage meant, a thumb, fixed tags, a note and the day. Neither address nor browser
nor question is kept; nothing here reads an answer.
"""

import argparse
import asyncio
import json
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from web.problem import Problem
from web.rest import ProblemDetails
from web.store import Store, StoreError, is_full, read

Tag = Literal["helpful", "easy_to_read", "off_topic", "incomplete", "hard_to_read", "outdated", "wrong", "unsafe"]
TAGS: tuple[Tag, ...] = get_args(Tag)
MAX_NOTES = 1000
# Votes that may wait to be written in one process.
WAITING = 64
OFF = "Feedback is off here."
FULL = "The operator's file of feedback is full. Nothing was kept."
UNWRITTEN = "The feedback could not be kept now. Try again in a moment."

# Without row numbers a row lies where its answer's random id puts it: the file does not tell the order of the votes.
SCHEMA = """
CREATE TABLE IF NOT EXISTS feedback (
    answer_id TEXT NOT NULL,
    passage_id TEXT NOT NULL,
    thumbs INTEGER NOT NULL,
    tags TEXT NOT NULL,
    notes TEXT NOT NULL,
    day TEXT NOT NULL,
    PRIMARY KEY (answer_id, passage_id)
) WITHOUT ROWID
"""
_WRITE = "INSERT OR REPLACE INTO feedback VALUES (?, ?, ?, ?, ?, ?)"
_READ = "SELECT answer_id, passage_id, thumbs, tags, notes, day FROM feedback ORDER BY day, answer_id, passage_id"

Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


class FeedbackBody(BaseModel):
    """The body of POST /v1/feedback; of a field it does not name nothing is kept."""

    model_config = ConfigDict(strict=True, extra="ignore")

    answer_id: Id = Field(description="The answer's id.")
    passage_id: Id | None = Field(default=None, description="The quoted passage that is meant; without it the whole answer.")
    thumbs: Annotated[int, Field(ge=0, le=1, description="1 up, 0 down.")]
    tags: list[Tag] = Field(default=[], max_length=len(TAGS), description="What is good or bad about it.")
    notes: Annotated[str, Field(max_length=MAX_NOTES, description="A note, at most 1,000 characters.")] = ""


@dataclass(frozen=True, slots=True)
class Vote:
    """One vote as it is kept; ``passage_id`` is empty where the whole answer is meant, ``day`` is that of the vote in UTC."""

    answer_id: str
    passage_id: str
    thumbs: int
    tags: tuple[str, ...]
    notes: str
    day: str


class Feedback:
    """The votes of all processes in one file; a second vote on the same answer and passage takes the first one's place."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._waiting = 0

    async def keep(self, vote: Vote) -> None:
        """Return once the vote is kept; raise Problem 503 where it cannot be now, 507 where there is no room."""
        if self._waiting >= WAITING:
            raise Problem(503, "Busy", UNWRITTEN, headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            await asyncio.wrap_future(self.store.write(lambda connection: _insert(connection, vote)))
        except sqlite3.Error as error:
            if is_full(error):
                raise Problem(507, "Insufficient storage", FULL) from error
            raise Problem(503, "Not kept", UNWRITTEN, headers={"Retry-After": "1"}) from error
        finally:
            self._waiting -= 1


def open_votes(path: Path) -> Store:
    """Return the file of votes at a path, created where it is missing; raise StoreError where it cannot be written."""
    store = Store(path, SCHEMA)
    store.prepare()
    return store


def _insert(connection: sqlite3.Connection, vote: Vote) -> None:
    row = (vote.answer_id, vote.passage_id, vote.thumbs, json.dumps(vote.tags), vote.notes, vote.day)
    connection.execute(_WRITE, row)


async def _feedback(request: Request) -> Feedback:
    kept: Feedback | None = getattr(request.app.state, "votes", None)
    if kept is None:
        raise Problem(404, "Not found", OFF)
    return kept


@asynccontextmanager
async def _closing(app: FastAPI) -> AsyncIterator[None]:
    yield
    if votes := getattr(app.state, "votes", None):
        votes.store.close()


_ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ProblemDetails, "description": text, "content": {"application/problem+json": {}}}
    for code, text in (
        (404, "Feedback is off"),
        (413, "Body over 16 KiB"),
        (422, "Not a vote"),
        (503, "Cannot be kept now"),
        (507, "No room for more"),
    )
}
router = APIRouter(tags=["citewell"], lifespan=_closing)


@router.post("/v1/feedback", status_code=204, response_class=Response, responses=_ERRORS)
async def give(body: FeedbackBody, votes: Annotated[Feedback, Depends(_feedback)]) -> Response:
    """Keep what a reader thinks of an answer, or of one passage quoted in it; a second vote replaces the first."""
    tags = tuple(tag for tag in TAGS if tag in body.tags)
    day = datetime.now(UTC).date().isoformat()
    await votes.keep(Vote(body.answer_id, body.passage_id or "", body.thumbs, tags, body.notes, day))
    return Response(status_code=204)


def votes_in(path: Path) -> list[Vote]:
    """Return the votes kept in a file, by day; raise StoreError where it cannot be read."""
    rows = read(path, lambda connection: connection.execute(_READ).fetchall())
    return [
        Vote(answer, passage, thumbs, tuple(json.loads(tags)), notes, day) for answer, passage, thumbs, tags, notes, day in rows
    ]


def report(votes: Sequence[Vote]) -> str:
    """Return the votes counted by passage and by tag, and the notes, as lines to read."""
    up = sum(vote.thumbs for vote in votes)
    lines = [f"{len(votes)} votes: {up} up, {len(votes) - up} down"]
    by_passage: dict[str, list[int]] = {}
    for vote in votes:
        by_passage.setdefault(vote.passage_id or "(whole answer)", []).append(vote.thumbs)
    lines += ["", f"{'passage':<18}{'up':>6}{'down':>6}"] if by_passage else []
    for passage, thumbs in sorted(by_passage.items(), key=lambda item: (sum(item[1]) - len(item[1]), item[0])):
        lines.append(f"{passage:<18}{sum(thumbs):>6}{len(thumbs) - sum(thumbs):>6}")
    by_tag = Counter(tag for vote in votes for tag in vote.tags)
    lines += ["", f"{'tag':<18}{'votes':>6}"] if by_tag else []
    lines += [f"{tag:<18}{by_tag[tag]:>6}" for tag in TAGS if by_tag[tag]]
    noted = [vote for vote in votes if vote.notes]
    lines += ["", "notes"] if noted else []
    for vote in noted:
        thumb, about = "up" if vote.thumbs else "down", vote.passage_id or "(whole answer)"
        lines.append(f"{vote.day} {about} {thumb}: {_printable(vote.notes)}")
    return "\n".join(lines)


def _printable(notes: str) -> str:
    # A note is a stranger's text: it must not move the operator's cursor or colour his terminal.
    return " ".join("".join(char if char.isprintable() else " " for char in notes).split())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is kept and return the exit code: 0, or 1 where the file cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m web.feedback", description="Print the feedback that readers gave.")
    parser.add_argument("file", type=Path, help="what CITEWELL_FEEDBACK names")
    parser.add_argument("--json", action="store_true", help="every vote as JSON")
    given = parser.parse_args(arguments)
    try:
        votes = votes_in(given.file)
    except StoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps([asdict(vote) for vote in votes], indent=1) if given.json else report(votes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
