"""Chunks: slices on sentence borders within the budget, and no list shown without what introduces it."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.chunk import LEAD_LINE_WORDS, QUOTED_WHOLE, chunk_passage
from corpus.lists import ITEM_WORDS
from corpus.passage import Chunk, Passage, Span
from corpus.readers.source import Place, SourceFile, make_passage
from corpus.sentences import split_sentences
from corpus.text import normalise
from tests.test_sentences import PROSE
from tests.test_text import MESSY

WORD = st.sampled_from("bend sit rest slowly heavy weights twisting hip knee floor daily".split())
BUDGETS = st.integers(5, 200)


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def passage(text: str) -> Passage:
    return make_passage(SourceFile("a.txt", text), Place("a.txt", 0, len(text)), text, {})


def chunks_of(text: str, budget: int) -> tuple[Chunk, ...]:
    return chunk_passage(passage(text), count_words, budget=budget)


def slice_of(text: str, span: Span) -> str:
    return text[span.start : span.end]


def sentence(words: list[str]) -> str:
    return " ".join(words).capitalize() + "."


LONG_PROSE = st.lists(st.lists(WORD, min_size=1, max_size=30).map(sentence), max_size=14).flatmap(
    lambda drawn: st.sampled_from((" ", "\n", "\n\n")).map(lambda gap: gap.join(drawn))
)
TEXTS = LONG_PROSE | PROSE.map(normalise) | MESSY.map(normalise)


@settings(deadline=None, max_examples=250)
@given(text=TEXTS, budget=st.integers(1, 200))
def test_chunks_are_slices_in_order_that_leave_out_only_white_space(text: str, budget: int) -> None:
    chunks = chunks_of(text, budget)
    position = 0
    for chunk in chunks:
        assert chunk.text == text[chunk.start : chunk.end]
        assert chunk.text == chunk.text.strip() != ""
        assert chunk.start >= position
        assert text[position : chunk.start].strip() == ""
        position = chunk.end
    assert text[position:].strip() == ""


@settings(deadline=None, max_examples=250)
@given(text=TEXTS, budget=st.integers(1, 30) | st.integers(1, 200))
def test_no_chunk_is_over_the_budget(text: str, budget: int) -> None:
    for chunk in chunks_of(text, budget):
        assert sum(count_words([slice_of(text, span) for span in chunk.sentences])) <= budget
        assert len(chunk.text.split()) <= budget


@settings(deadline=None, max_examples=250)
@given(text=TEXTS, budget=st.integers(1, 60))
def test_every_sentence_is_in_one_chunk_whole_or_in_parts_between_words(text: str, budget: int) -> None:
    chunks = chunks_of(text, budget)
    pieces = [span for chunk in chunks for span in chunk.sentences]
    assert all(a.end <= b.start for a, b in pairwise(pieces))
    for span in split_sentences(text):
        inside = [piece for piece in pieces if span.start <= piece.start and piece.end <= span.end]
        words = slice_of(text, span).split()
        if len(words) <= budget:
            assert inside == [span]
        else:
            assert len(inside) == -(-len(words) // budget)
            assert [word for piece in inside for word in slice_of(text, piece).split()] == words
        pieces = [piece for piece in pieces if piece not in inside]
    assert pieces == []


@settings(deadline=None, max_examples=250)
@given(text=TEXTS, budget=st.integers(1, 200))
def test_a_chunk_is_bounded_by_its_sentences_and_held_by_its_quote(text: str, budget: int) -> None:
    for chunk in chunks_of(text, budget):
        assert (chunk.start, chunk.end) == (chunk.sentences[0].start, chunk.sentences[-1].end)
        assert 0 <= chunk.quote.start <= chunk.start
        assert chunk.end <= chunk.quote.end <= len(text)
        shown = slice_of(text, chunk.quote)
        assert shown == shown.strip()


@settings(deadline=None, max_examples=150)
@given(words=st.lists(WORD, min_size=2, max_size=120), budget=st.integers(1, 60))
def test_a_part_of_an_overlong_sentence_is_shown_with_the_whole_of_it(words: list[str], budget: int) -> None:
    text = f"Rest. {sentence(words)} Walk."
    whole = Span(6, len(text) - 6)
    parts = [c for c in chunks_of(text, budget) if c.start < whole.end and c.end > whole.start]
    assert parts
    for chunk in parts:
        if len(words) <= QUOTED_WHOLE * budget:
            assert chunk.quote.start <= whole.start
            assert chunk.quote.end >= whole.end
        else:  # a table or a word list: no more is shown than the chunk holds
            assert chunk.quote == Span(chunk.start, chunk.end)


# Lists and what introduces them

BEFORE = st.lists(st.lists(WORD, min_size=2, max_size=12).map(sentence), max_size=3)
COLON_LEADS = st.sampled_from(
    (
        "Do not do any of these:",
        "Until the pain is gone, avoid the following:",
        "Some moves make it worse. Do not try any of them. They are:",
        "What you should never do:",
    )
)
MARKED_LEADS = COLON_LEADS | st.sampled_from(("Do not do these", "What to avoid", "Never do any of these.", "Don’t you dare!"))
FORBIDDING_HEADINGS = st.sampled_from(("What not to do", "Things to avoid", "Don’t", "Moves you should never try"))
GAPS = st.sampled_from(("\n", "\n\n"))


def items(longest: int, *, sentences: int) -> st.SearchStrategy[list[str]]:
    """Draw list items of up to so many words, in up to so many sentences."""
    words = st.lists(WORD, min_size=1, max_size=longest // sentences).map(sentence)
    return st.lists(st.lists(words, min_size=1, max_size=sentences).map(" ".join), min_size=1, max_size=12)


def assert_no_item_without(lead: str, above: str, listed: str, budget: int, *, below: str = "") -> None:
    """Fail if a chunk that holds any of the list would be shown from later than the start of its lead-in."""
    text = above + listed + below
    start, end = len(above), len(above) + len(listed)
    shown = [chunk for chunk in chunks_of(text, budget) if chunk.start < end and chunk.end > start]
    assert shown
    for chunk in shown:
        assert chunk.quote.start <= above.rindex(lead)
        assert lead in slice_of(text, chunk.quote)


@settings(deadline=None, max_examples=300)
@given(
    before=BEFORE,
    lead=MARKED_LEADS,
    mark=st.sampled_from(("- ", "* ", "1. ", "• ", "a) ")),
    listed=items(60, sentences=1) | items(60, sentences=3),
    gaps=st.tuples(GAPS, GAPS),
    budget=BUDGETS,
)
def test_no_marked_item_is_shown_without_its_lead_in(
    before: list[str], lead: str, mark: str, listed: list[str], gaps: tuple[str, str], budget: int
) -> None:
    marks = [f"{number}. " if mark == "1. " else mark for number in range(1, len(listed) + 1)]
    block = gaps[1].join(mark + item for mark, item in zip(marks, listed, strict=True))
    above = " ".join(before) + ("\n\n" if before else "") + lead + gaps[0]
    assert_no_item_without(lead, above, block, budget, below="\n\nAfter that, walk.")


@settings(deadline=None, max_examples=200)
@given(before=BEFORE, lead=COLON_LEADS, listed=items(ITEM_WORDS, sentences=1), gaps=st.tuples(GAPS, GAPS), budget=BUDGETS)
def test_no_unmarked_item_after_a_colon_is_shown_without_its_lead_in(
    before: list[str], lead: str, listed: list[str], gaps: tuple[str, str], budget: int
) -> None:
    above = " ".join(before) + ("\n\n" if before else "") + lead + gaps[0]
    assert_no_item_without(lead, above, gaps[1].join(listed), budget)


@settings(deadline=None, max_examples=150)
@given(before=BEFORE, lead=FORBIDDING_HEADINGS, listed=items(ITEM_WORDS, sentences=1), gap=GAPS, budget=BUDGETS)
def test_no_line_under_a_forbidding_heading_is_shown_without_it(
    before: list[str], lead: str, listed: list[str], gap: str, budget: int
) -> None:
    above = "\n".join(before) + ("\n\n" if before else "") + lead + gap
    assert_no_item_without(lead, above, "\n".join(listed), budget)


@settings(deadline=None, max_examples=100)
@given(
    listed=items(20, sentences=1), aside=st.lists(WORD, min_size=1, max_size=10).map(sentence), budget=BUDGETS, data=st.data()
)
def test_a_remark_between_two_items_does_not_part_the_list_from_its_lead_in(
    listed: list[str], aside: str, budget: int, data: st.DataObject
) -> None:
    at = data.draw(st.integers(1, len(listed)))
    marked = ["- " + item for item in [*listed, "the last of them"]]
    above = "\n".join(["Do not:", *marked[:at], "", aside, "", ""])
    assert_no_item_without("Do not:", above, "\n".join(marked[at:]), budget)


def test_a_list_that_fits_the_budget_is_one_chunk_with_its_lead_in() -> None:
    listed = "Do not:\n- run\n- jump\n- squat"
    text = f"{sentence(['rest'] * 10)}\n\n{listed}\n\n{sentence(['walk'] * 10)}"
    assert [chunk.text for chunk in chunks_of(text, 12)][1] == listed


def test_a_list_too_long_is_parted_between_items_and_each_part_reaches_back() -> None:
    text = "Do not do these. They hurt:\n- run up stairs\n- jump down stairs\n- squat with weights"
    first, *parts = chunks_of(text, 8)
    assert first.text == "Do not do these."
    assert [part.text for part in parts] == ["They hurt:\n- run up stairs", "- jump down stairs\n- squat with weights"]
    assert [slice_of(text, part.quote) for part in parts] == [text[: parts[0].end], text]


def test_a_second_list_has_a_lead_in_of_its_own() -> None:
    text = "Do not:\n- run far\n- jump high\nGood choices are:\n- walk slowly\n- swim often"
    chunks = chunks_of(text, 6)
    shown = {chunk.text: slice_of(text, chunk.quote) for chunk in chunks}
    assert [quote for part, quote in shown.items() if "swim" in part] == ["Good choices are:\n- walk slowly\n- swim often"]


def test_a_paragraph_after_a_list_is_shown_alone() -> None:
    text = "Do not:\n- run far\n- jump high\n\nWalking every day does no harm to anyone."
    assert slice_of(text, chunks_of(text, 8)[-1].quote) == "Walking every day does no harm to anyone."


def test_of_a_long_line_only_the_last_sentence_goes_with_the_list() -> None:
    talk = sentence(["talk"] * LEAD_LINE_WORDS)
    text = f"{talk} Do not:\n- run\n- jump"
    assert {slice_of(text, c.quote) for c in chunks_of(text, 2) if c.start > len(talk)} >= {
        "Do not:\n- run",
        "Do not:\n- run\n- jump",
    }


def test_a_long_text_is_cut_into_even_chunks() -> None:
    sentences = [sentence(["rest"] * 10)] * 10
    paragraphs, line = "\n\n".join(sentences), " ".join(sentences)
    assert [len(chunk.text.split()) for chunk in chunks_of(paragraphs, 90)] == [50, 50]
    assert [len(chunk.text.split()) for chunk in chunks_of(line, 90)] == [60, 40]  # not 90 and 10
    assert [len(chunk.text.split()) for chunk in chunks_of(line, 100)] == [100]


def test_chunks_are_filled_up_to_the_budget_and_not_one_token_further() -> None:
    line = " ".join(sentence(["rest"] * length) for length in (6, 5, 9))
    assert [len(chunk.text.split()) for chunk in chunks_of(line, 10)] == [6, 5, 9]
    assert [len(chunk.text.split()) for chunk in chunks_of(line, 11)] == [11, 9]
    assert [len(chunk.text.split()) for chunk in chunks_of(sentence(["rest"] * 25), 10)] == [10, 10, 5]


def test_no_text_has_no_chunk() -> None:
    assert chunks_of("", 5) == ()


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_below_one_is_refused(budget: int) -> None:
    with pytest.raises(ValueError, match=rf"the token budget is {budget}, expected at least 1"):
        chunks_of("Rest.", budget)


LONG_REMARK = "This is said because the new joint needs time to settle before it can take such a load again. " * 2


@pytest.mark.parametrize(
    "text",
    [
        "Do not do these things for six weeks:\n"
        + "\n".join(f"- Climb ladder {i} at home.\n\n{LONG_REMARK}\n\nIt is hard on joint {i}." for i in range(6)),
        "Do not do any of these:\n- Sports such as:\nRunning on hard ground\nTennis on a court\n- Lifting a heavy box",
        "\n".join(
            ["Things that are forbidden after the operation:", *(f"❌ Bend the hip past a right angle {i}" for i in range(9))]
        ),
        "\n".join(["Contraindications", *(f"A clot in the leg in the last {i} weeks" for i in range(2, 9))]),
        "These exercises are dangerous and should be skipped:\n\n"
        + "\n\n".join(f"Exercise {i} asks for a deep bend of the hip while the leg turns inward. " * 3 for i in range(5)),
    ],
)
@pytest.mark.parametrize("budget", [12, 30, 60])
def test_what_is_forbidden_is_never_quoted_without_the_word_that_forbids_it(text: str, budget: int) -> None:
    text = normalise(text)
    lead = text.split("\n")[0]
    for chunk in chunks_of(text, budget):
        assert slice_of(text, chunk.quote).startswith(lead)
