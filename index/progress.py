"""A progress bar on standard error with rate and time left, by tqdm; silent where standard error is no terminal."""

import sys

from tqdm import tqdm


class ProgressBar:
    """Shows how many of how many are done."""

    def __init__(self, label: str) -> None:
        self._bar = tqdm(desc=label, unit="chunk", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False)

    def close(self) -> None:
        """Take the bar off the terminal."""
        self._bar.close()

    def show(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` are done."""
        self._bar.total = total
        self._bar.update(done - self._bar.n)
