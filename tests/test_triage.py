"""Triage: every family's own examples, the tuning messages, mutations, and the shape of the file."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa.answer import Alert
from qa.flags import (
    FILED_RULES,
    RULES_FILE,
    Family,
    RedFlagsError,
    build_rules,
    file_rules,
    filed_rules,
    load_rules,
    read_rules,
    write_filed_rules,
)
from qa.message import read
from qa.phrase import PhraseError, parse
from qa.triage import matching_families, triage
from qa.vocabulary import is_slip

SEED = Path(__file__).resolve().parents[2] / "shared" / "eval" / "seed" / "triage.tsv"
DATA: dict[str, Any] = tomllib.loads(RULES_FILE.read_text(encoding="utf-8"))
FAMILIES = load_rules().families
POSITIVE = [pytest.param(family, text, id=f"{family.id}: {text}") for family in FAMILIES for text in family.positive]
NEGATIVE = [pytest.param(text, id=f"{family.id}: {text}") for family in FAMILIES for text in family.negative]


def level(question: str) -> str:
    alert = triage(question)
    return alert.level if alert else "none"


@pytest.mark.parametrize(("family", "text"), POSITIVE)
def test_a_family_shows_its_card_for_its_own_examples(family: Family, text: str) -> None:
    assert triage(text) == family.alert


@pytest.mark.parametrize("text", NEGATIVE)
def test_no_card_is_shown_for_a_family_s_negative_examples(text: str) -> None:
    assert [family.id for family in matching_families(text)] == []


def test_the_tuning_messages_get_their_level() -> None:
    if not SEED.exists():
        pytest.skip(f"the tuning messages are not beside this checkout: {SEED}")
    rows = [line.split("\t") for line in SEED.read_text(encoding="utf-8").splitlines()[1:]]
    assert len(rows) == 16
    assert [(text, level(text)) for _, text in rows] == [(text, expected) for expected, text in rows]


MUTATIONS: dict[str, Callable[[str], str]] = {
    "capitals": str.upper,
    "no apostrophes": lambda text: text.replace("'", ""),
    "curly apostrophes": lambda text: text.replace("'", "’"),
    "wide spaces": lambda text: text.replace(" ", " \u00a0 "),
    "greeting": lambda text: "Hi there, " + text,
    "second sentence": lambda text: text.rstrip(".?!") + ". What should I do?",
    "first sentence": lambda text: "I am 45 and work in an office. " + text,
    "thanks": lambda text: text + " thanks",
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_manners_of_writing_do_not_change_the_level(mutation: str) -> None:
    change = MUTATIONS[mutation]
    for family in FAMILIES:
        for text in family.positive:
            assert (text, level(change(text))) == (text, family.alert.level)
        for text in family.negative:
            assert (text, level(change(text))) == (text, "none")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I can't feel anything between my legs", "emergency"),
        ("there is no feeling between my legs", "emergency"),
        ("there is no numbness between my legs", "none"),
        ("no numbness, tingling, weakness or loss of bladder control", "none"),
        ("no fever, but I can't pee", "emergency"),
        ("no weight loss, no fever, lost control of my bowels", "emergency"),
        ("not only does my back hurt, I can not wee", "emergency"),
        ("without warning I wet myself", "emergency"),
        ("numbness between the legs: no", "none"),
        ("my physio told me to watch for numbness between my legs", "none"),
        ("what does saddle numbness mean?", "none"),
        ("what does it mean when my privates are numb?", "emergency"),
        ("I lost control of my bladder ten years ago, fine now", "none"),
        ("I hurt my back ten years ago, now I can't feel my legs", "emergency"),
        ("my bladder control has been gone since a crash ten years ago", "emergency"),
        ("I had lymphoma ten years ago and my back hurts", "urgent"),
        ("car crash three months ago and my back hurts", "none"),
    ],
)
def test_what_is_said_decides_not_which_words_are_used(text: str, expected: str) -> None:
    assert level(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I swallowed all my tablets because I want to die", "emergency"),
        ("my back pain is unbearable, I have a fever and I want to kill myself", "crisis"),
        ("fever and back pain, and I've just wet myself", "emergency"),
    ],
)
def test_the_most_urgent_level_wins(text: str, expected: str) -> None:
    assert level(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "nubmness between my legs",
        "cant contrl my blader",
        "my bakc hurts and i cannot pee",
        "feeling suicdal",
        "my hip hurts and i have a fevr",
    ],
)
def test_one_slip_of_the_pen_is_forgiven(text: str) -> None:
    assert triage(text) is not None


@pytest.mark.parametrize(
    ("word", "meant", "expected"),
    [
        ("numbnes", "numbness", True),
        ("bladdder", "bladder", True),
        ("feevr", "fever", True),
        ("baldder", "bladder", True),
        ("lbadder", "bladder", True),
        ("never", "fever", False),
        ("towel", "bowel", False),
        ("wekk", "weak", False),
        ("waek", "weak", True),
        ("leggs", "legs", True),
        ("pea", "pee", False),
    ],
)
def test_a_slip_is_one_edit_of_a_long_word(word: str, meant: str, expected: bool) -> None:
    assert is_slip(word, meant) is expected


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=400))
def test_any_text_gives_one_of_the_cards_or_nothing(text: str) -> None:
    assert triage(text) in {None, *(family.alert for family in FAMILIES)}


WORDS = sorted({token.word for family in FAMILIES for text in family.positive for token in read(text).tokens})


@given(st.lists(st.sampled_from([*WORDS, ",", ".", "no", "not", "years ago"]), max_size=60))
def test_any_string_of_telling_words_gives_one_of_the_cards_or_nothing(words: list[str]) -> None:
    assert triage(" ".join(words)) in {None, *(family.alert for family in FAMILIES)}


def test_the_cards_are_the_words_of_the_file() -> None:
    assert [card(family.alert) for family in FAMILIES] == [entry["card"] for entry in DATA["family"]]
    assert [family.alert.level for family in FAMILIES] == [entry["level"] for entry in DATA["family"]]


def card(alert: Alert) -> dict[str, object]:
    source = {"title": alert.source.title, "publisher": alert.source.publisher, "url": alert.source.url}
    return {"title": alert.title, "message": alert.message, "actions": list(alert.actions), "source": source}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.id)
def test_a_card_is_general_sourced_and_has_its_own_examples(family: Family) -> None:
    alert = family.alert
    assert alert.source.url.startswith("https://")
    assert not re.search(r"\byou (have|are|may have|might have|could have)\b", f"{alert.title} {alert.message}".lower())
    assert re.match(r"People|Children|Pain can wear anyone down", alert.message)
    assert len(set(family.positive)) >= 6
    assert len(set(family.negative)) >= 4
    if alert.level == "emergency":
        assert any("your local emergency number (for example 112, 911 or 999)" in action for action in alert.actions)


def test_the_crisis_card_names_every_line() -> None:
    (crisis,) = [family.alert for family in FAMILIES if family.alert.level == "crisis"]
    words = " ".join(crisis.actions)
    assert all(line in words for line in ("988", "116 123", "your local emergency number"))


def test_a_file_that_is_missing_or_broken_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RedFlagsError, match=r"cannot read the red flags in .*absent\.toml"):
        read_rules(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[language", encoding="utf-8")
    with pytest.raises(RedFlagsError, match=r"cannot read the red flags in .*broken\.toml"):
        read_rules(broken)


def changed(**parts: object) -> dict[str, Any]:
    """The shipped data with parts of its first family replaced."""
    return {**DATA, "family": [{**DATA["family"][0], **parts}]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "the file has no table 'language'"),
        ({**DATA, "family": []}, "the file has no \\[\\[family\\]\\]"),
        ({**DATA, "family": "none"}, "expected \\[\\[family\\]\\] tables, found 'none'"),
        ({**DATA, "family": [DATA["family"][0]] * 2}, "two families are called 'overdose_or_self_harm'"),
        ({**DATA, "time": {"events": ["comet"], "lasting": ["cancer"]}}, "'comet', which is no concept"),
        ({**DATA, "concepts": {"numb": ["{deaf}"]}}, "'numb' uses {deaf}, which is not defined above it"),
        ({**DATA, "concepts": {"numb": ["of the"]}}, "concepts.*numb: too little is left of the phrase 'of the'"),
        (changed(level="soon"), "has the level 'soon'; expected one of emergency, urgent, crisis"),
        (changed(when=[["comet"]]), "needs the concept 'comet', which \\[concepts\\] does not define"),
        (changed(when=[]), "has no 'when'; expected a list of rows"),
        (changed(when=["numb"]), "has the row 'numb' in 'when'"),
        (changed(card="call"), "has no table 'card'; found 'call'"),
        (changed(id=""), "has no text 'id'; found ''"),
        (changed(examples={"positive": [], "negative": ["x"]}), "has no list of texts 'positive'"),
    ],
)
def test_data_that_is_not_as_expected_is_refused_in_words(data: dict[str, Any], words: str) -> None:
    with pytest.raises(RedFlagsError, match=words):
        build_rules(data)


def test_a_source_must_be_https() -> None:
    first = DATA["family"][0]["card"]
    data = changed(card={**first, "source": {**first["source"], "url": "http://example.org"}})
    with pytest.raises(RedFlagsError, match="must begin with https://"):
        build_rules(data)


@pytest.mark.parametrize(
    ("phrase", "words"),
    [
        ("numb!", "'numb!' is no word"),
        ("the + numb", "too little is left of the phrase"),
        ("the|numb leg", "mixes words that count with small ones"),
    ],
)
def test_a_phrase_outside_the_grammar_is_refused(phrase: str, words: str) -> None:
    with pytest.raises(PhraseError, match=words):
        parse(phrase, frozenset({"the"}))


def test_a_bracketed_choice_stands_for_one_phrase_each() -> None:
    assert [p.text for p in parse("jump (off|in front of) bridge")] == ["jump off bridge", "jump in front of bridge"]


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("mylegs", ("my", "legs")),
        ("backhurts", ("back", "hurts")),
        ("chestis", ("chest", "is")),
        ("bya", ("by", "a")),
        ("noon", ("noon",)),
        ("bladder", ("bladder",)),
        ("bladdder", ("blader",)),
        ("badder", ("badder",)),
        ("honestly", ()),
        ("camnot", ("cannot",)),
        ("holdin", ("holding",)),
        ("grandso", ("grandso",)),
        ("thisah", ("this", "ah")),
        ("zxzx", ("zxzx",)),
    ],
)
def test_words_run_together_are_parted_where_their_parts_are_known(word: str, parts: tuple[str, ...]) -> None:
    assert load_rules().vocabulary.parts_of(word) == parts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Can a stiff back give you chest pains? I've had both together all night.", "emergency"),
        ("Can a stiff back give you chest pains?", "none"),
        ("any numbness down there no, any fever no, any weight loss no, my back aches", "none"),
        ("my back hurts, any numbness is new, I can't feel my legs, no fever", "emergency"),
        ("Dad is suddenly really confused, doesn't know me, he was fine at lunch", "emergency"),
        ("my bladder and bowels are normal and my back aches", "none"),
        ("I can't, like, feel anything, you know, between my legs", "emergency"),
        ("no fever\nback pain\nlost control of my bladder", "emergency"),
        ("three weeks after the operation I am suddenly short of breath", "emergency"),
        ("no fever, no weight loss, no night pain, my back aches", "none"),
        ("limping? no she isn't, my daughter of six runs about", "none"),
        ("limping? no idea why, my daughter of six limps", "urgent"),
        ("my son,\n5 years old, has a limp", "urgent"),
        ("some idiot T-boned us and my back hurts", "emergency"),
        ("one side of her face has gone numb", "emergency"),
        ("ah cannae feel ma bum, it's deid", "emergency"),
        ("my wee lad fell in the mud, where do I wash him?", "none"),
    ],
)
def test_claims_answers_and_asides_are_understood(text: str, expected: str) -> None:
    assert level(text) == expected


# --- the rules as filed --------------------------------------------------------------------------------------------------


def test_filed_rules_are_those_of_the_file(tmp_path: Path) -> None:
    write_filed_rules(tmp_path / "red_flags.json")
    filed = dict(filed_rules(tmp_path / "red_flags.json") or {})
    del filed["made_from"]
    assert filed == json.loads(json.dumps(file_rules(tomllib.loads(RULES_FILE.read_text(encoding="utf-8")))))


@pytest.mark.parametrize("damage", ["made from another file", "cut short", "no object", "missing"])
def test_rules_filed_from_something_else_are_not_taken(tmp_path: Path, damage: str) -> None:
    text = FILED_RULES.read_text(encoding="utf-8")
    filed = {
        "made from another file": text.replace('"made_from":"', '"made_from":"0', 1),
        "cut short": text[: len(text) // 2],
        "no object": "[]",
    }
    path = tmp_path / "red_flags.json"
    if damage in filed:
        path.write_text(filed[damage], encoding="utf-8")
    assert filed_rules(path) is None


def test_rules_filed_beforehand_and_now_read_messages_alike() -> None:
    now, filed = read_rules(RULES_FILE), load_rules()
    assert now.families == filed.families
    assert now.kinds == filed.kinds
    assert (now.telling, now.asides) == (filed.telling, filed.asides)
    assert (now.phrases.names, now.language.names, now.masks.names) == (
        filed.phrases.names,
        filed.language.names,
        filed.masks.names,
    )
    words = {word for family in FAMILIES for text in family.positive for word in text.lower().split()}
    for word in sorted(filter(str.isalpha, words)):
        assert now.vocabulary.keys_of(word) == filed.vocabulary.keys_of(word)
        assert now.vocabulary.parts_of(word) == filed.vocabulary.parts_of(word)
