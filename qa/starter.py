"""The starter index: where it lies, and building it from the embedded corpus where there is none."""

import sys
from contextlib import redirect_stdout
from pathlib import Path

from index.storage import POINTER, StorageError, current_generation

PROJECT = Path(__file__).resolve().parent.parent
STARTER_CORPUS = PROJECT / "corpus" / "starter"
STARTER_INDEX = PROJECT / "build" / "starter"


def ensure_starter_index() -> Path:
    """Return the starter index's folder, having built it first where it is missing; raise StorageError on failure."""
    if (STARTER_INDEX / POINTER).is_file():
        current_generation(STARTER_INDEX)
        return STARTER_INDEX
    # Only a build needs these; answering from an index that is there never imports torch.
    from index.__main__ import main as index_command

    print(f"building the starter index in {STARTER_INDEX} (once, about 20 seconds)", file=sys.stderr)
    # Standard output belongs to the answer.
    with redirect_stdout(sys.stderr):
        code = index_command(["build", str(STARTER_CORPUS), "--out", str(STARTER_INDEX)])
    if code != 0:
        raise StorageError("the starter index could not be built; the reason stands above")
    return STARTER_INDEX
