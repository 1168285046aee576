"""docs/deploy.md says what the code does: fields, tags, figures and commands are checked against it."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.conftest import PROJECT
from web.feedback import MAX_NOTES, TAGS, FeedbackBody, open_votes, votes_in
from web.store import BUSY_S, MAX_BYTES
from web.unanswered import LEAST
from web.workers import GRACE_S, STOP_S

DEPLOY = (PROJECT / "docs" / "deploy.md").read_text(encoding="utf-8")
LINE = " ".join(DEPLOY.split())


def test_fields_and_tags_of_feedback_are_documented() -> None:
    assert re.findall(r"^\| `(\w+)` \|", DEPLOY, flags=re.MULTILINE) == list(FeedbackBody.model_fields)
    assert f"any of {', '.join(f'`{tag}`' for tag in TAGS)} |" in DEPLOY
    assert f"at most {MAX_NOTES:,} characters" in DEPLOY
    assert "CITEWELL_FEEDBACK" in DEPLOY
    assert "CITEWELL_UNANSWERED" in DEPLOY


def test_figures_are_those_of_the_code() -> None:
    assert f"its greatest size ({MAX_BYTES // 1024**2} MB)" in LINE
    assert (BUSY_S, GRACE_S, LEAST) == (2, 10, 5)
    assert "within two seconds" in LINE
    assert "not ended after ten seconds" in LINE
    assert "fewer than five questions" in LINE
    compose = (PROJECT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    for given in (re.search(r"stop_grace_period: (\d+)s", compose), re.search(r"TimeoutStopSec=(\d+)", DEPLOY)):
        assert given
        assert int(given[1]) > STOP_S


def test_the_command_that_copies_a_file_copies_what_is_not_in_the_file_yet(tmp_path: Path) -> None:
    found = re.search(r"^python (-c .*) FILE COPY$", DEPLOY, flags=re.MULTILINE)
    assert found
    store = open_votes(tmp_path / "feedback.sqlite")
    store.write(lambda db: db.execute("INSERT INTO feedback VALUES ('0', '', 1, '[]', '', '2026-07-01')")).result()
    assert Path(f"{store.path}-wal").stat().st_size > 0
    copy = tmp_path / "copy.sqlite"
    subprocess.run([sys.executable, *shlex.split(found[1]), str(store.path), str(copy)], check=True, timeout=30)
    store.close()
    assert votes_in(copy) == votes_in(store.path)
    assert len(votes_in(copy)) == 1
