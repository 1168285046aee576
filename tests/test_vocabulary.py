"""The vocabulary on disk: chunks counted, not occurrences; the same bytes for the same texts; damage refused."""

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from rapidfuzz.distance import OSA

from benchmarks.misspelling import slip
from index.sounds import sound
from index.vocabulary import (
    VOCABULARY,
    VOCABULARY_FILES,
    Vocabulary,
    VocabularyError,
    check_vocabulary,
    english,
    open_english,
    open_vocabulary,
    words_of,
    write_counts,
    write_vocabulary,
)
from index.wording import reword
from index.words import pack
from tests.test_wording import TEXTS


def test_the_vocabulary_counts_chunks_not_occurrences(tmp_path: Path) -> None:
    write_vocabulary(["Pain, PAIN and pain. Sjögren’s eyes at L5", "pain again, don't stop"], tmp_path)
    vocabulary = open_vocabulary(tmp_path)
    assert vocabulary.chunks == 2
    assert vocabulary.count("pain") == 2
    assert vocabulary.count("sjogren") == vocabulary.count("don't") == 1
    assert "l5" not in vocabulary
    assert list(vocabulary) == sorted(vocabulary)


def test_the_vocabulary_is_the_same_bytes_for_the_same_texts_and_for_their_counts(tmp_path: Path) -> None:
    counts = {word: sum(word in words_of(text) for text in TEXTS) for text in TEXTS for word in words_of(text)}
    for name in "abc":
        (tmp_path / name).mkdir()
    write_vocabulary(TEXTS, tmp_path / "a")
    write_vocabulary(TEXTS[::-1], tmp_path / "b")
    write_counts(counts, len(TEXTS), tmp_path / "c")
    for file in VOCABULARY_FILES:
        assert len({(tmp_path / name / file).read_bytes() for name in "abc"}) == 1


def test_any_words_are_found_with_their_counts() -> None:
    counts = {word: at for at, word in enumerate(["", "a", "боль", "中", "mother-in-law", "can't", "x" * 60, "back", "bakc"])}
    vocabulary = Vocabulary(pack(counts, chunks=9))
    assert {word: vocabulary.count(word) for word in vocabulary} == counts
    assert vocabulary.near("боли", 1) == {"боль": 1}
    assert vocabulary.near("back", 1) == {"back": 0, "bakc": 1}
    assert vocabulary.near("x" * 63, 2) == vocabulary.alike("back", 2) == {}
    assert "\ud800" not in vocabulary
    assert vocabulary.count("pain") == 0


def test_the_english_words_are_those_of_the_list(tmp_path: Path) -> None:
    write_counts({}, 0, tmp_path)
    held = open_english(tmp_path)
    assert len(held) == len(english()) > 80_000
    assert {word: held.count(word) for word in held} == {word: english().count(word) for word in english()}
    assert held.count("pain") > held.count("sciatica") > 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    write_vocabulary(TEXTS, folder)
    return folder


def _put(at: int, value: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + struct.pack("<q", value) + data[at + 8 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "another file": lambda _: b"#chunks\t2\t-\npain\t2\tpain\n",
    "its head alone": lambda data: data[:88],
    "cut short": lambda data: data[:-1],
    "with more behind it": lambda data: data + b"\0",
    "a negative number of words": _put(32, -1),
    "more words than it has": _put(32, 1_000_000),
    "slots that are no power of two": _put(48, 3),
    "half the slots": lambda data: _put(48, struct.unpack_from("<q", data, 48)[0] // 2)(data),
    "every array full of ones": lambda data: data[:88] + b"\xff" * (len(data) - 88),
    "every array empty": lambda data: data[:88] + b"\0" * (len(data) - 88),
}


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("file", VOCABULARY_FILES)
def test_a_damaged_vocabulary_is_refused(folder: Path, tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / file).write_bytes(DAMAGES[name]((folder / file).read_bytes()))
    with pytest.raises(VocabularyError, match="build the index again"):
        (open_vocabulary if file == VOCABULARY else open_english)(tmp_path)


def test_a_missing_vocabulary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match="build the index again"):
        open_vocabulary(tmp_path)


def test_any_changed_byte_is_refused_or_found(folder: Path, tmp_path: Path) -> None:
    """No single changed byte of either file is taken for the words of the corpus, or for English."""
    assert check_vocabulary(TEXTS, folder) == []
    chooser = random.Random(8)
    for file in VOCABULARY_FILES:
        data = (folder / file).read_bytes()
        for name in VOCABULARY_FILES:
            (tmp_path / name).write_bytes((folder / name).read_bytes())
        for at in [*range(0, 88, 4), *(chooser.randrange(len(data)) for _ in range(30 if file == VOCABULARY else 3))]:
            (tmp_path / file).write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
            try:
                assert check_vocabulary(TEXTS, tmp_path) != [], at
            except VocabularyError:
                continue


def test_an_empty_corpus_has_an_empty_vocabulary(tmp_path: Path) -> None:
    write_vocabulary([], tmp_path)
    assert len(open_vocabulary(tmp_path)) == 0
    assert open_vocabulary(tmp_path).near("pain", 2) == {}
    assert reword("a jab for my bum", open_vocabulary(tmp_path)).searched_as is None


# --- near words, beside a plain scan ------------------------------------------------------------------------------------


def _scan(word: str, words: list[str], distance: int) -> dict[str, int]:
    found = ((other, OSA.distance(word, other, score_cutoff=distance)) for other in words)
    return {other: apart for other, apart in found if apart <= distance}


def test_near_words_of_english_are_those_of_a_plain_scan() -> None:
    chooser = random.Random(3)
    words = list(english())
    for word in chooser.sample(words, 40):
        for typed in (word, slip(word, chooser), slip(slip(word, chooser), chooser)):
            for distance in (0, 1, 2):
                assert english().near(typed, distance) == _scan(typed, words, distance), (typed, distance)


def test_near_words_are_those_of_a_plain_scan_for_thousands_of_slips() -> None:
    """Also for words of the same few letters, where letters alone tell little apart."""
    chooser = random.Random(4)
    words = sorted({"".join(chooser.choices("aaeinst", k=chooser.randrange(9))) for _ in range(1500)})
    vocabulary = Vocabulary(pack(dict.fromkeys(words, 1), chunks=1))
    for _ in range(3000):
        typed = "".join(chooser.choices("aaeinst'é", k=chooser.randrange(10)))
        for distance in (1, 2):
            assert vocabulary.near(typed, distance) == _scan(typed, words, distance), (typed, distance)


def test_words_that_sound_alike_are_those_of_a_plain_scan() -> None:
    chooser = random.Random(5)
    words = sorted(chooser.sample(list(english()), 4000))
    sounds = [sound(word) for word in words]
    vocabulary = Vocabulary(pack(dict.fromkeys(words, 1), chunks=1, sounds=sounds))
    for word in chooser.sample(words, 300):
        typed = slip(word, chooser)
        apart = [(other, OSA.distance(sound(typed), own)) for other, own in zip(words, sounds, strict=True)]
        for distance in (0, 1):
            assert vocabulary.alike(typed, distance) == {other: own for other, own in apart if own <= distance}
