"""How texts are shown: not a character lost, the age of a source, and links to addresses, words and telephone numbers."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.passage import Span
from tests.test_pages import CITATION, TEXT
from web.shown import age, blocks, context_url, fragment_url, phone_pieces, pieces, safe_url
from web.widget_source import phones


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//e.org", "/x", "https:", "http:x", "", "https://["]
)
def test_only_absolute_web_addresses_are_linked(url: str) -> None:
    assert safe_url(url) == ""
    assert safe_url("https://example.org/a?b=c") == "https://example.org/a?b=c"


@pytest.mark.parametrize(
    ("passage", "name"), [("0a1b", "0a1b"), ("a/../b?c#d", "a%2F..%2Fb%3Fc%23d"), ("//e.org", "%2F%2Fe.org")]
)
def test_quotes_link_to_passages_of_this_site_only(passage: str, name: str) -> None:
    citation = replace(CITATION, passage_id=passage, permalink="https://e.org/", start=0, end=5)
    assert context_url(citation) == f"/passages/{name}?start=0&end=5#quote"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Call 999, 112 or 911.", ["999", "112", "911"]),
        ("Samaritans: 116 123", ["116 123"]),
        ("(988)", ["988"]),
        ("1,112 people, 112% or 9.911 or 1123 or 112.5", []),
    ],
)
def test_telephone_numbers_are_found_as_whole_numbers(text: str, numbers: list[str]) -> None:
    cut = phone_pieces(text)
    assert [piece.text for piece in cut if piece.marked] == numbers
    assert "".join(piece.text for piece in cut) == text
    assert set(numbers) <= set(phones())


def spans_in(text: str) -> st.SearchStrategy[list[Span]]:
    bounds = st.integers(-3, len(text) + 3)
    return st.lists(st.builds(Span, bounds, bounds), max_size=4)


texts = st.text(st.sampled_from("ab 🦴é.-1\n\r\t<&"), max_size=60)


@given(st.data())
def test_pieces_join_to_the_text_and_mark_what_the_spans_cover(data: st.DataObject) -> None:
    text = data.draw(texts)
    spans = data.draw(spans_in(text))
    cut = pieces(text, spans)
    assert "".join(piece.text for piece in cut) == text
    covered = {at for span in spans for at in range(max(span.start, 0), min(span.end, len(text)))}
    flags = [piece.marked for piece in cut for _ in piece.text]
    assert {at for at, marked in enumerate(flags) if marked} == covered


@given(st.data())
def test_blocks_join_to_the_text_whatever_is_marked(data: st.DataObject) -> None:
    text = data.draw(texts)
    found = blocks(text, data.draw(spans_in(text)))
    joined = "".join("".join(piece.text for piece in item.pieces) + item.tail for block in found for item in block.items)
    assert joined == text


def test_blocks_see_paragraphs_bullets_and_numbers() -> None:
    found = blocks(TEXT, [])
    assert [(block.kind, len(block.items)) for block in found] == [("p", 1), ("p", 1), ("ul", 2), ("ol", 2)]
    assert found[0].items[0].pieces[0].text == TEXT.partition("\n\n")[0]


@pytest.mark.parametrize(
    ("reviewed", "words"),
    [
        ("2019-03-01", " (7 years ago)"), ("2019", " (7 years ago)"), ("2025-11-24", " (1 year ago)"),
        ("2025-11-25", " (11 months ago)"), ("2026-10", " (1 month ago)"), ("2026-11-01", ""), ("2027", ""), ("March 2019", ""),
        ("", ""), ("٢٠١٩", ""),
    ],
)  # fmt: skip
def test_age_is_counted_in_whole_months_and_years(reviewed: str, words: str) -> None:
    assert age(reviewed, date(2026, 11, 24)) == words


@pytest.mark.parametrize(
    ("text", "span", "fragment"),
    [
        ("Rest, ice & low-impact walking.", (0, 31), "#:~:text=Rest%2C%20ice%20%26%20low%2Dimpact%20walking."),
        ("One two three four five six seven eight nine ten eleven.", (0, 56), "#:~:text=One%20two%20three%20four%20five,"
         "seven%20eight%20nine%20ten%20eleven."),
        ("Two signs:\n- stiff joints\n- a limp", (0, 35), "#:~:text=Two%20signs%3A,a%20limp"),
        ("Nothing is marked.", None, ""),
        ("x" * 400, (0, 400), ""),
    ],
)  # fmt: skip
def test_text_fragment_names_the_marked_words(text: str, span: tuple[int, int] | None, fragment: str) -> None:
    spans = [Span(*span)] if span else []
    assert fragment_url("https://e.org/a", text, spans) == f"https://e.org/a{fragment}"
    assert fragment_url("https://e.org/a#b", text, spans) == f"https://e.org/a#b{fragment.removeprefix('#')}"
    assert fragment_url("https://e.org/#:~:text=x", text, spans) == "https://e.org/#:~:text=x"
