"""A progress bar on standard error with rate and time left, by tqdm; silent where standard error is no terminal."""

import sys

from tqdm import tqdm


class ProgressBar:
    """Shows how many bytes of passages of how many are done, the rate, and the time left."""

    def __init__(self, label: str) -> None:
        self._bar = tqdm(desc=label, unit="B", unit_scale=True, file=sys.stderr, disable=not sys.stderr.isatty(), leave=False)

    def close(self) -> None:
        """Take the bar off the terminal."""
        self._bar.close()

    def show(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` are done."""
        if self._bar.total is None:  # what an interrupted build had done says nothing of this one's rate
            self._bar.initial = self._bar.n = done
        self._bar.total = total
        self._bar.update(done - self._bar.n)
