"""The vocabulary on disk: chunks counted, not occurrences; the same bytes for the same texts; damage refused."""

from pathlib import Path

import pytest

from index.vocabulary import VOCABULARY, VocabularyError, open_vocabulary, write_vocabulary
from index.wording import reword
from tests.test_wording import TEXTS


def test_the_vocabulary_counts_chunks_not_occurrences(tmp_path: Path) -> None:
    write_vocabulary(["Pain, PAIN and pain. Sjögren’s eyes at L5", "pain again, don't stop"], tmp_path)
    vocabulary = open_vocabulary(tmp_path)
    assert vocabulary.chunks == 2
    assert vocabulary.count("pain") == 2
    assert vocabulary.count("sjogren") == vocabulary.count("don't") == 1
    assert "l5" not in vocabulary
    assert list(vocabulary) == sorted(vocabulary)


def test_the_vocabulary_is_the_same_bytes_for_the_same_texts(tmp_path: Path) -> None:
    files = []
    for name, texts in (("a", TEXTS), ("b", TEXTS[::-1])):
        (tmp_path / name).mkdir()
        write_vocabulary(texts, tmp_path / name)
        files.append((tmp_path / name / VOCABULARY).read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize("content", [b"", b"pain\t3\tpain\n", b"#chunks\tmany\t-\n", b"#chunks\t2\t-\npain\t2\n", b"\xff\xfe"])
def test_a_damaged_vocabulary_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / VOCABULARY).write_bytes(content)
    with pytest.raises(VocabularyError, match="build the index again"):
        open_vocabulary(tmp_path)


def test_an_empty_corpus_has_an_empty_vocabulary(tmp_path: Path) -> None:
    write_vocabulary([], tmp_path)
    assert len(open_vocabulary(tmp_path)) == 0
    assert reword("a jab for my bum", open_vocabulary(tmp_path)).searched_as is None
