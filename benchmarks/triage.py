"""How long triage takes for one message, by the message's length, up to the 2,000 characters a question may have.

    python -m benchmarks.triage tests/data/triage_tuning.tsv [FILE ...]

Messages of each length are made by joining messages of the files given, so that long ones are as full of symptoms as the
short ones; a real long message holds fewer. Each is read once, after the rules have been loaded.
"""

import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from evaluation.triage import read_messages
from qa.flags import load_rules
from qa.triage import triage

LENGTHS = (50, 100, 200, 500, 1000, 2000)
EACH = 500


def message(texts: Sequence[str], length: int, rng: random.Random) -> str:
    """Join messages drawn at random until the length is reached, and cut there."""
    parts = ""
    while len(parts) < length:
        parts += ("\n" if parts else "") + rng.choice(texts)
    return parts[:length]


def milliseconds(text: str) -> float:
    """Return the wall-clock time of one reading."""
    begun = time.perf_counter()
    triage(text)
    return (time.perf_counter() - begun) * 1000


def main(arguments: Sequence[str]) -> int:
    """Print the median, the 99th percentile and the maximum for the messages as they are and for each length."""
    texts = [item.question for path in arguments for item in read_messages(Path(path))]
    rng = random.Random(0)
    load_rules()
    sets = {"as written": texts} | {f"{n} characters": [message(texts, n, rng) for _ in range(EACH)] for n in LENGTHS}
    print("messages           number   median      p99      max   (ms)")
    for name, messages in sets.items():
        times = sorted(milliseconds(text) for text in messages)
        p99 = times[max(0, -(-99 * len(times) // 100) - 1)]
        print(f"{name:<17} {len(times):>7} {statistics.median(times):>8.3f} {p99:>8.3f} {times[-1]:>8.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
