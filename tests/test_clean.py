"""Cleaning: what is rejected and why, that nothing goes missing, and the user's own raw file."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.clean import Rejected, clean, is_boilerplate
from corpus.passage import Passage
from corpus.read import read_sources
from corpus.readers.source import Place, SourceFile, Unreadable, make_passage
from corpus.text import normalise

HIP = "The hip is a ball and socket, and strong muscles hold it together."
KNEE = "The knee is a hinge, and it bears more than the weight of the body."


def passage(text: str, *, title: str = "", heading: str = "", start: int = 0) -> Passage:
    place = Place("a.txt", start, start + len(text))
    return make_passage(SourceFile("a.txt", text), place, normalise(text), {"title": title, "heading": heading})


def reason(item: Passage) -> str | None:
    (result,) = clean([item])
    return result.reason if isinstance(result, Rejected) else None


def reasons(items: list[Passage]) -> list[str | None]:
    return [result.reason if isinstance(result, Rejected) else None for result in clean(items)]


PASSAGES = st.builds(
    passage,
    st.sampled_from((HIP, HIP.upper(), KNEE, "×", "12", "We use cookies.", "Lie down.", "Rest!", "\ufffd\ufffd\ufffd a b c d")),
    title=st.sampled_from(("", "Hips")),
    heading=st.sampled_from(("", "Pain", "At night")),
    start=st.integers(0, 900),
)
ITEMS = st.lists(
    PASSAGES | st.builds(Unreadable, st.just("b.txt"), st.just(0), st.just(0), st.just("it is empty")), max_size=25
)


@settings(deadline=None, max_examples=150)
@given(ITEMS)
def test_every_item_comes_out_once_in_order_kept_as_it_is_or_rejected_with_its_place(items: list[Passage | Unreadable]) -> None:
    results = list(clean(items))
    assert len(results) == len(items)
    for item, result in zip(items, results, strict=True):
        if isinstance(result, Rejected):
            assert isinstance(item, Passage)
            assert result.reason in ("duplicate", "boilerplate", "fragment")
            assert (result.source, result.start, result.end, result.text) == (item.source, item.start, item.end, item.text)
        else:
            assert result is item


@settings(deadline=None, max_examples=150)
@given(ITEMS)
def test_what_is_kept_has_ids_of_its_own_and_is_kept_again(items: list[Passage | Unreadable]) -> None:
    kept = [result for result in clean(items) if not isinstance(result, Rejected)]
    ids = [item.id for item in kept if isinstance(item, Passage)]
    assert len(set(ids)) == len(ids)
    assert list(clean(kept)) == kept


def test_the_same_words_are_a_duplicate_in_any_case_and_punctuation() -> None:
    assert reasons([passage(HIP), passage(KNEE), passage(HIP), passage(f"“{HIP.upper()}”")]) == [
        None,
        None,
        "duplicate",
        "duplicate",
    ]


def test_one_more_word_is_no_duplicate() -> None:
    assert reasons([passage(HIP), passage(HIP + " Always.")]) == [None, None]


def test_the_same_words_under_another_heading_stay() -> None:
    named = [passage(HIP, heading="Hips"), passage(HIP, heading="Joints"), passage(HIP, heading="HIPS"), passage(HIP)]
    assert reasons(named) == [None, None, "duplicate", "duplicate"]


def test_a_rejected_passage_makes_no_duplicate() -> None:
    assert reasons([passage("We use cookies."), passage("We use cookies."), passage("×"), passage("×")]) == [
        "boilerplate",
        "boilerplate",
        "fragment",
        "fragment",
    ]


@pytest.mark.parametrize(
    "text", ["×", "12", "…", "Read more", "Page 2 of", "1 2 3 4 5"[:5], "a\ufffdb\ufffdc\ufffd " + "word " * 3]
)
def test_a_stray_mark_and_damaged_text_are_fragments(text: str) -> None:
    assert reason(passage(text)) == "fragment"


@pytest.mark.parametrize("text", ["Do not run up stairs.", "Osteoporosis hurts.", "Walk daily, rest often.", HIP + " \ufffd"])
def test_a_short_sentence_and_a_single_damaged_character_are_no_fragment(text: str) -> None:
    assert reason(passage(text)) is None


def test_under_a_heading_a_word_is_enough() -> None:
    assert reason(passage("Rest.", heading="What helps?")) is None
    assert reason(passage("×", heading="What helps?")) == "fragment"


@pytest.mark.parametrize(
    "text",
    [
        "This site uses cookies. Accept all cookies or change your cookie settings.",
        "© 2021 The Clinic. All rights reserved.",
        "This page does not provide medical advice.",
        "What you read here is for informational purposes only.",
        "Our content is not a substitute for professional medical care.",
        "Read our privacy policy and our terms of use.",
        "Sign up for our weekly newsletter.",
        "Skip to main content",
    ],
)
def test_a_text_about_the_site_is_boilerplate(text: str) -> None:
    assert reason(passage(text)) == "boilerplate"


@pytest.mark.parametrize(
    "text",
    [
        "Cookies and other sweets do not weaken the bones.",
        "Seek medical advice if the pain wakes you at night.",
        "The right to privacy protects what you tell a doctor.",
        "The trial was stopped for safety purposes, and the rights of patients were kept.",
        "Call an ambulance when you cannot feel both legs.",
        f"{HIP} {KNEE} All rights reserved.",
    ],
)
def test_a_text_about_health_is_not(text: str) -> None:
    assert reason(passage(text)) is None


def test_boilerplate_counts_from_half_of_the_characters_on() -> None:
    site, health = "Accept cookies now.", "Rest the sore hip."
    assert (len(site), len(health)) == (19, 18)
    assert is_boilerplate(f"{site} {health}")
    assert is_boilerplate(f"{site} {health}!")
    assert not is_boilerplate(f"{site} {health}!!")
    assert not is_boilerplate("")


def test_the_users_raw_file_gives_43_passages_and_five_rejections(shared: Path) -> None:
    sources = sorted((shared / "seeds").glob("*.txt"))
    assert sources
    results = list(clean(read_sources(sources)))
    kept = [item for item in results if isinstance(item, Passage)]
    rejected = [item for item in results if isinstance(item, Rejected)]
    assert (len(results), len(kept), len(rejected)) == (48, 43, 5)
    assert Counter(item.reason for item in rejected) == {"duplicate": 2, "boilerplate": 2, "fragment": 1}
    assert [item.text for item in rejected if item.reason == "fragment"] == ["×"]
    site = [item.text.casefold() for item in rejected if item.reason == "boilerplate"]
    assert [("cookies" in text, "medical advice" in text) for text in sorted(site)] == [(False, True), (True, False)]
    assert {item.text for item in rejected if item.reason == "duplicate"} <= {item.text for item in kept}
    assert len({item.id for item in kept}) == 43


def test_the_users_raw_file_is_quoted_from_where_it_stands(shared: Path) -> None:
    for source in sorted((shared / "seeds").glob("*.txt")):
        text = source.read_bytes().decode("utf-8-sig")
        for item in clean(read_sources([source])):
            assert not isinstance(item, Unreadable)
            assert normalise(text[item.start : item.end]) == item.text
