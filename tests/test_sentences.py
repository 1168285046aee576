"""Sentence ranges: worked examples of the rules, and what holds for every text."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.sentences import split_sentences
from corpus.text import normalise
from tests.test_text import MESSY

PARTS = (
    *("Rest", "the", "hip", "It", "hurts", "A", "Dr", "e.g", "U.S", "Va", "No", "3", "10.5", "©", "don’t"),
    *(".", "!", "?", "...", "…", "。", "！", ":", ",", "[15]", "[3,4]", ")", "(", '"', "“", "”", "»"),
    *(" ", " ", " ", "\n", "\n\n", "- ", "1. ", "\t", "\u2028"),
)
PROSE = st.lists(st.sampled_from(PARTS), max_size=60).map("".join)


def sentences(text: str) -> list[str]:
    return [text[s.start : s.end] for s in split_sentences(text)]


@settings(deadline=None, max_examples=300)
@given(PROSE | PROSE.map(normalise) | MESSY)
def test_sentences_are_ordered_trimmed_and_leave_out_only_white_space(text: str) -> None:
    spans = split_sentences(text)
    assert all(a.end <= b.start for a, b in pairwise(spans))
    position = 0
    for span in spans:
        assert 0 <= span.start < span.end <= len(text)
        assert text[position : span.start].strip() == ""
        assert text[span.start : span.end] == text[span.start : span.end].strip()
        position = span.end
    assert text[position:].strip() == ""


@settings(deadline=None, max_examples=200)
@given(PROSE)
def test_a_line_break_always_ends_a_sentence(text: str) -> None:
    assert [s for s in sentences(text) if "\n" in s] == []


@settings(deadline=None, max_examples=200)
@given(st.lists(st.lists(st.sampled_from(["hip", "pain", "rest", "walk", "slowly"]), min_size=2, max_size=6), max_size=8))
def test_plain_sentences_are_split_exactly(words: list[list[str]]) -> None:
    expected = [" ".join(sentence).capitalize() + "." for sentence in words]
    assert sentences(" ".join(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        # abbreviations that go on
        "Ask Dr. Alvarez about it.",
        "Mrs. Lee and Mr. Okafor met Prof. Brandt.",
        "Use a painkiller, e.g. Paracetamol, at night.",
        "Some joints, i.e. The hip and knee, carry weight.",
        "Rest vs. Exercise was compared by Chen et al. In a trial.",
        "See Fig. 3 and pp. 12 to 14.",
        "The U.S. Preventive Services Task Force wrote it.",
        "J. K. Moreno wrote the guide.",
        # numbers
        "Take 2.5 mg twice, then 0.75 mg.",
        "It costs 1.000 euros.",
        # dots that end nothing
        "It came back... and then it went.",
        "Was it rest? asked nobody.",
        "Read www.example.org for more.",
        # a number belongs to its step
        "1. Lie on your side.",
        "12. Lift the upper leg.",
        "a. Breathe in.",
        # a closing mark without anything after it
        "“Walk every day.”",
        "Fusion helped few people.[15]",
    ],
)
def test_one_sentence_stays_one(text: str) -> None:
    assert sentences(text) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rest. Walk! Swim? Stop…", ["Rest.", "Walk!", "Swim?", "Stop…"]),
        ("It hurt… Then it stopped. Why?! Nobody knows.", ["It hurt…", "Then it stopped.", "Why?!", "Nobody knows."]),
        ("I waited... Nothing came.", ["I waited...", "Nothing came."]),
        # an abbreviation with dots ends a sentence where a usual opening word follows
        ("She moved to the U.S. The pain went.", ["She moved to the U.S.", "The pain went."]),
        ("He spoke to Ana Ruiz, M.D. She agreed.", ["He spoke to Ana Ruiz, M.D.", "She agreed."]),
        ("The clinic is in Norfolk, Va. Call first.", ["The clinic is in Norfolk, Va.", "Call first."]),
        ("Bones need vitamin D. The sun helps.", ["Bones need vitamin D.", "The sun helps."]),
        ("Bring ice, heat, etc. Dr. Wu has tape.", ["Bring ice, heat, etc.", "Dr. Wu has tape."]),
        ("Should I take vitamin D? Rest helps more.", ["Should I take vitamin D?", "Rest helps more."]),
        # numbers
        ("The dose is 2.5 mg. Then 3.0 mg.", ["The dose is 2.5 mg.", "Then 3.0 mg."]),
        ("It began in 2019. In 2021 it ended.", ["It began in 2019.", "In 2021 it ended."]),
        # quotes, brackets and footnote marks stay with the sentence they close
        ("“Go slowly.” Then rest.", ["“Go slowly.”", "Then rest."]),
        ('She said "Stop." He did.', ['She said "Stop."', "He did."]),
        ("Rest first. “Then walk,” she says.", ["Rest first.", "“Then walk,” she says."]),
        ("Rest (a day or two.) Then walk.", ["Rest (a day or two.)", "Then walk."]),
        ("Fusion helps few.[15] Others wait.[3,4][7–9] Ask.", ["Fusion helps few.[15]", "Others wait.[3,4][7–9]", "Ask."]),
        # lines
        ("Do not:\n- run\n- jump. Not once.", ["Do not:", "- run", "- jump.", "Not once."]),
        ("1. Lie down. Relax.\n2. Lift the leg.", ["1. Lie down.", "Relax.", "2. Lift the leg."]),
        ("No full stop here\n\nNor here", ["No full stop here", "Nor here"]),
        # CJK full stops need no space after them
        ("多休息。少走路！好吗？", ["多休息。", "少走路！", "好吗？"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_are_split_where_a_reader_would(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_long_runs_of_dots_and_of_letters_are_read_in_no_time() -> None:
    assert len(split_sentences("." * 3_000 + "a")) == 1
    assert len(split_sentences("a" * 100_000 + ". B")) == 2
