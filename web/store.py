"""A SQLite file that one process, or several forked ones, write what they keep to: opened lazily, bounded, off the event loop.

Each process has one thread that writes and one connection, opened there when something is first written, so none is carried
across a fork. What is kept is the business of who keeps it.
"""

import os
import sqlite3
import stat
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

# What a file may grow to; its write-ahead log may take a few more.
MAX_BYTES = 64 * 1024 * 1024
PAGE_BYTES = 4096
# Seconds that a process waits for another one's write before it gives up.
BUSY_S = 2.0


class StoreError(Exception):
    """A file cannot be written or read as what it should be; the message says which and why."""


class Store:
    """A file with the tables of a schema; safe to write from several processes at once."""

    def __init__(self, path: Path, schema: str, *, max_bytes: int = MAX_BYTES) -> None:
        self.path = path.absolute()
        self._schema = schema
        self._pages = max(1, max_bytes // PAGE_BYTES)
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="citewell-store")

    def prepare(self) -> None:
        """Create the file, for its owner alone, and its tables where they are missing; raise StoreError where that fails."""
        try:
            # The write-ahead log beside it is created by SQLite with the mode of the file.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, stat.S_IRUSR | stat.S_IWUSR))
            with closing(self._open()) as connection:
                connection.executescript(self._schema)
                connection.execute("BEGIN IMMEDIATE")  # a folder that takes no write-ahead log is found out here
                connection.execute("ROLLBACK")
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise StoreError(f"{self.path} cannot be written as a SQLite file: {reason}; name another file") from error

    def write(self, work: Callable[[sqlite3.Connection], Result]) -> "Future[Result]":
        """Have the work done in one transaction on the writing thread; the future raises sqlite3.Error where it fails."""
        return self._thread.submit(self._transact, work)

    def close(self) -> None:
        """Wait for what is being written, then close the file."""
        self._thread.submit(self._forget).result()
        self._thread.shutdown()

    def _transact(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        if self._connection is None:
            self._connection = self._open()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:
                return work(self._connection)
        except sqlite3.Error:
            self._forget()  # the next write opens it anew: a disk may be there again
            raise

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        # mode=rw: a file that was taken away while serving is not made again unnoticed.
        uri = f"{self.path.as_uri()}?mode=rw"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            for setting in ("journal_mode = WAL", "secure_delete = ON", f"max_page_count = {self._pages}"):
                connection.execute(f"PRAGMA {setting}").fetchall()
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def is_full(error: sqlite3.Error) -> bool:
    """Tell whether a write failed because the file has its greatest size, or the disk has no room."""
    return error.sqlite_errorcode == sqlite3.SQLITE_FULL


def read(path: Path, work: Callable[[sqlite3.Connection], Result]) -> Result:
    """Return what the work reads from a file that may be written at the same time; raise StoreError where it cannot."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)) as connection:
            connection.execute("BEGIN")
            return work(connection)
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
