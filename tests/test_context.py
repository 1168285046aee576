"""A cut of a passage takes in what would change its meaning: exceptions, contrasts, what it leans on, forbidding headings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.passage import Span
from corpus.sentences import split_sentences
from corpus.text import normalise
from qa.context import WINDOW, widened

BEFORE = "Heat can ease a stiff back."
CUT = "Ice can ease a sore hip."
AFTER = "Most people feel better in a week."


def shown(text: str, cut: str = CUT) -> str:
    start = text.index(cut)
    span = widened(text, Span(start, start + len(cut)))
    return text[span.start : span.end]


def test_a_cut_that_stands_by_itself_is_shown_as_it_is() -> None:
    assert shown(f"{BEFORE} {CUT} {AFTER}") == CUT
    assert shown(CUT) == CUT


@pytest.mark.parametrize(
    "turn",
    [
        "However, do not put it on bare skin.",
        "But it can burn.",
        "Unless the skin is broken, that is.",
        "Except after surgery.",
        "Do not use it for more than twenty minutes.",
        "Don’t fall asleep on it.",
        "Never use it on numb skin.",
        "This is not for people with poor circulation.",
        "It shouldn't be used on children.",
        "Exceptions are wounds and numb skin.",
        "Not everyone should try it.",
    ],
)
def test_what_turns_the_cut_around_is_shown_with_it(turn: str) -> None:
    assert shown(f"{BEFORE} {CUT} {turn} {AFTER}") == f"{CUT} {turn}"
    assert shown(f"{BEFORE} {CUT}\n\n{turn}\n{AFTER}") == f"{CUT}\n\n{turn}"


def test_turns_are_followed_as_long_as_they_come() -> None:
    assert shown(f"{CUT} But not for long. Never overnight. {AFTER}") == f"{CUT} But not for long. Never overnight."


@pytest.mark.parametrize("opening", ["However, it", "This", "Otherwise it", "In that case it", "These", "So it"])
def test_a_cut_that_leans_on_the_sentence_before_is_shown_with_it(opening: str) -> None:
    cut = f"{opening} should be avoided."
    assert (
        shown(f"{AFTER} Some people sleep on a heating pad. {cut} {AFTER}", cut) == f"Some people sleep on a heating pad. {cut}"
    )


def test_a_heading_that_forbids_is_shown_with_what_stands_under_it() -> None:
    text = f"What helps\n{BEFORE}\n\nThings to avoid\nLifting heavy boxes all day long is hard on any back. {CUT} {AFTER}"
    assert shown(text).startswith("Things to avoid\nLifting")
    assert shown(text, BEFORE) == BEFORE


def test_only_the_nearest_heading_counts() -> None:
    text = f"Things to avoid\nHeavy boxes are hard on any back.\n\nWhat helps\n{CUT} {AFTER}"
    assert shown(text) == CUT


def test_a_sentence_longer_than_the_window_is_taken_whole() -> None:
    long = "But " + "never on numb skin " * (WINDOW // 10) + "at all."
    assert shown(f"{CUT} {long} {AFTER}") == f"{CUT} {long}"
    cut = "This is not safe."
    before = "Some people sleep " + "on a heating pad " * (WINDOW // 10) + "at night."
    assert shown(f"{AFTER} {before} {cut}", cut) == f"{before} {cut}"


pieces = st.sampled_from(
    [BEFORE, CUT, AFTER, "But not now.", "This is so.", "However, stop.", "Things to avoid\n", "\n\n", "- an item\n"]
)


@given(st.lists(pieces, min_size=1, max_size=12), st.data())
def test_a_cut_only_grows_and_ends_on_sentence_borders(parts: list[str], data: st.DataObject) -> None:
    text = normalise(" ".join(parts))
    sentences = split_sentences(text)
    if not sentences:
        return
    first = data.draw(st.integers(0, len(sentences) - 1))
    last = data.draw(st.integers(first, len(sentences) - 1))
    cut = Span(sentences[first].start, sentences[last].end)
    found = widened(text, cut)
    assert found.start <= cut.start < cut.end <= found.end
    following = text[found.end :].lstrip()
    assert not following.startswith(("But ", "However, "))
    assert found.end in {sentence.end for sentence in sentences}
    assert text[found.start : found.end] == text[found.start : found.end].strip()
