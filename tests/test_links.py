"""What the pages link: absolute web addresses, passages of this site, and whole telephone numbers."""

from dataclasses import replace

import pytest

from tests.test_pages import CITATION
from web.pages import PHONES, context_url, phone_pieces, safe_url


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//e.org", "/x", "https:", "http:x", "", "https://["]
)
def test_only_absolute_web_addresses_are_linked(url: str) -> None:
    assert safe_url(url) == ""
    assert safe_url("https://example.org/a?b=c") == "https://example.org/a?b=c"


@pytest.mark.parametrize(
    ("permalink", "expected"),
    [("/passages/a?start=9#x", "/passages/a?start=0&end=5#quote"), ("//e.org/passages/a", ""), ("https://e.org", ""), ("", "")],
)
def test_quotes_link_to_passages_of_this_site_only(permalink: str, expected: str) -> None:
    assert context_url(replace(CITATION, permalink=permalink, start=0, end=5)) == expected


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
    assert set(numbers) <= set(PHONES)
