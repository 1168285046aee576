"""Normalisation: what it changes, what it leaves, and that doing it twice is doing it once."""

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.lists import starts_item, starts_line
from corpus.text import has_lone_surrogates, normalise, normalise_wrapped

BLANK_PARTS = ("\n", "\r", "\r\n", "\t", " ", "  ", "\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\u2028", "\u2029", "\u3000")
INVISIBLE_PARTS = ("\x00", "\x07", "\x7f", "\x80", "\u200b", "\ufeff")
WORD_PARTS = (
    "e",
    "\u0301",
    "\u0323",
    "\u212b",
    "\u1100\u1161",
    "hip",
    "Rest.",
    "- ",
    "1. ",
    "12.",
    "#",
    "|",
    "•",
    "×",
    "骨",
    "…",
)
MESSY = st.lists(st.sampled_from(BLANK_PARTS + INVISIBLE_PARTS + WORD_PARTS) | st.characters(codec="utf-8"), max_size=40).map(
    "".join
)


def visible(text: str) -> str:
    """Return what a reader sees of a text: no white space, no control character, composed."""
    kept = [c for c in text if not c.isspace() and unicodedata.category(c) != "Cc" and c not in "\u200b\ufeff"]
    return unicodedata.normalize("NFC", "".join(kept))


@settings(deadline=None, max_examples=300)
@given(MESSY)
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    wrapped = normalise_wrapped(text)
    assert normalise_wrapped(wrapped) == wrapped
    assert normalise(wrapped) == wrapped


@settings(deadline=None, max_examples=300)
@given(MESSY)
def test_normalised_text_holds_no_stray_white_space_or_control_character(text: str) -> None:
    for result in (normalise(text), normalise_wrapped(text)):
        assert [c for c in result if c not in " \n" and (c.isspace() or unicodedata.category(c) == "Cc")] == []
        assert "\u200b" not in result
        assert "\ufeff" not in result
        assert "  " not in result
        assert "\n\n\n" not in result
        assert result == result.strip()
        assert [line for line in result.split("\n") if line != line.strip()] == []
        assert unicodedata.is_normalized("NFC", result)


@settings(deadline=None, max_examples=300)
@given(MESSY)
def test_normalising_loses_and_adds_nothing_visible(text: str) -> None:
    assert visible(normalise(text)) == visible(text)
    assert normalise_wrapped(text).split() == normalise(text).split()


@settings(deadline=None, max_examples=300)
@given(MESSY)
def test_a_line_of_wrapped_text_stands_alone_only_after_an_empty_line_or_as_an_item(text: str) -> None:
    lines = normalise_wrapped(text).split("\n")
    assert [line for above, line in pairwise(lines) if above and line and not starts_line(line)] == []


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_every_kind_of_line_break_becomes_one(line_break: str) -> None:
    assert normalise(f"Rest the leg.{line_break}Then walk.") == "Rest the leg.\nThen walk."
    assert normalise(f"Rest.{line_break * 4}Walk.") == "Rest.\n\nWalk."


@pytest.mark.parametrize("blank", [" ", "   ", "\t", "\xa0", " \u2009 ", "\u3000", "\x00", "\x1f", "\x9f", "\u200b", "\ufeff"])
def test_every_run_of_blanks_becomes_one_space(blank: str) -> None:
    assert normalise(f"{blank}bend{blank}the knee{blank}") == "bend the knee"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cafe\u0301", "café"),
        ("A\u030angstro\u0308m", "Ångström"),
        ("\ufb01bre", "\ufb01bre"),  # a ligature is another letter: NFC keeps it, NFKC would not
        ("10\u202f°C", "10 °C"),
        ("soft\u00adhyphen", "soft\u00adhyphen"),
        ("“quotes” – and — dashes…", "“quotes” – and — dashes…"),
        ("x² ½ ™", "x² ½ ™"),
        (" \n\t\r\n ", ""),
        ("", ""),
    ],
)
def test_characters_are_composed_and_otherwise_kept(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_soft_wraps_are_joined_and_items_and_paragraphs_are_not() -> None:
    text = "A long sentence\nthat goes on.\n\nDo not:\n- run up\n  stairs\n- jump\n1) kneel\n| a | b |\nend"
    assert (
        normalise_wrapped(text) == "A long sentence that goes on.\n\nDo not:\n- run up stairs\n- jump\n1) kneel\n| a | b | end"
    )
    assert normalise(text).count("\n") == text.count("\n")


@pytest.mark.parametrize(
    "line",
    [
        "- a",
        "* a",
        "+ a",
        "• a",
        "– a",
        "1. a",
        "12) a",
        "(3) a",
        "(b) a",
        "b) a",
        "| a",
        "  - a",
        "-",
        "1.2. a",
        "iv. a",
        "o a",
        "[ ] a",
        "[x] a",
        "❌ a",
        "❌a",
        "✓ a",
        "● a",
        "◦ a",
        "\uf0b7 a",
        "— a",
    ],
)
def test_a_list_marker_or_table_rule_starts_an_item(line: str) -> None:
    assert starts_item(line)


@pytest.mark.parametrize(
    "line", ["a", "-a", "1.5 mg", "1234. a", "a. b", "*bold* a", "(see below) a", "2024 was", "", "#1 choice"]
)
def test_other_lines_start_no_item(line: str) -> None:
    assert not starts_item(line)


def test_lone_surrogates_are_seen() -> None:
    assert has_lone_surrogates("hip\ud83d")
    assert not has_lone_surrogates("hip \U0001f9b4")
