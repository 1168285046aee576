"""Follow-up questions: how far a question leans, what it carries, and whether it finds what the whole question finds."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.dialogues import ARMS, KINDS, Dialogue, Searcher, load_dialogues, successes, unrelated
from evaluate import open_or_build
from evaluation.dataset import load_dataset
from index.local import LocalIndex
from index.models import DEFAULT_MODEL
from qa.conversation import CARRIED_WORDS, TURNS, WORD_CHARACTERS, Lean, Resolved, read_lean, resolve
from tests.conftest import PROJECT

DATA = PROJECT / "tests" / "data"
FILES = ("tuning", "cues", "held")
# The part of the written-out questions' Success@3 that their follow-ups must reach.
LEVEL = 0.9
CORPUS = (
    "spinal stenosis surgery widens the narrowed spinal canal",
    "osteoporosis treatment makes bones stronger with tablets",
    "runners strain the inner thigh and hip",
    "frog pose stretches the inner thighs",
)


def overlap(text: str) -> float:
    """Return how alike a text and its nearest passage are: words in common over words in either."""
    own = set(re.findall(r"[a-z]+", text.lower()))
    return max(len(own & set(passage.split())) / len(own | set(passage.split())) for passage in CORPUS)


@pytest.mark.parametrize(
    ("question", "lean"),
    [
        ("why?", Lean.WHOLLY),
        ("how long does it take?", Lean.WHOLLY),
        ("what about surgery?", Lean.WHOLLY),
        ("any side effects", Lean.WHOLLY),
        ("ＨＯＷ ＬＯＮＧ？", Lean.WHOLLY),
        ("can it spread to the knee", Lean.STRONG),
        ("are those allowed while pregnant?", Lean.STRONG),
        ("is cycling bad for it", Lean.STRONG),
        ("she plays tennis", Lean.STRONG),
        ("and for runners?", Lean.WEAK),
        ("ok, and in children", Lean.WEAK),
        ("would a warm bath help too", Lean.WEAK),
        ("i sit in a van all day", Lean.WEAK),
        ("what is a bursa and can it burst?", Lean.WEAK),
        ("do discs shrink as they age?", Lean.WEAK),
        ("do swimmers get better?", Lean.WEAK),
        ("what is sciatica?", Lean.NONE),
        ("how do I stretch tight hip flexors?", Lean.NONE),
        ("is it safe to jog with a worn hip cup?", Lean.NONE),
        ("how long does it take to walk after a hip fracture?", Lean.NONE),
        ("which muscle is it that lifts the knee?", Lean.NONE),
        ("which is the muscle that lifts the knee?", Lean.NONE),
        ("are there stretches for tight calves?", Lean.NONE),
        ("new question, what is sciatica?", Lean.APART),
        ("what does a coccyx do? different topic", Lean.APART),
        ("ok never mind, now for a completely different subject: bunions", Lean.APART),
        ("new question how are bunions removed", Lean.APART),
        ("is this a different subject", Lean.STRONG),
        ("new question", Lean.APART),
        ("thank you very much!", Lean.APART),
        ("?!", Lean.APART),
    ],
)
def test_how_far_a_question_leans(question: str, lean: Lean) -> None:
    assert read_lean(question)[0] is lean


@pytest.mark.parametrize(
    ("question", "history", "text"),
    [
        ("what about surgery?", ["what is spinal stenosis?"], "spinal stenosis: what about surgery?"),
        ("and for runners?", ["why does the inner thigh hurt?"], "inner thigh hurt: and for runners?"),
        ("how long does it take?", ["how is osteoporosis treated?"], "osteoporosis: how long does it take?"),
        ("can it be cured", ["what is sciatica", "what are its symptoms", "thanks"], "sciatica: can it be cured"),
        ("is it painful", ["my mum has osteoporosis", "and a stiff neck?"], "osteoporosis stiff neck: is it painful"),
        ("is it painful", ["what is sciatica", "how is a broken wrist splinted?"], "broken wrist splinted: is it painful"),
        ("is it painful", ["what is sciatica", "new question: what is a bunion"], "bunion: is it painful"),
        ("how do they cause pain", ["hip cysts"], "hip cysts: how do they cause pain"),
        ("what are the causes?", ["symptoms?"], "symptoms: what are the causes?"),
    ],
)
def test_a_follow_up_is_searched_with_the_topic(question: str, history: list[str], text: str) -> None:
    resolved = resolve(question, history)
    assert resolved.text == text
    assert resolved.carried == tuple(text.partition(":")[0].split())
    assert not resolved.changed_topic


@pytest.mark.parametrize("history", [[], [""], ["  \n"], ["thanks"], ["?"], ["why?"]])
def test_without_a_topic_the_question_is_searched_as_it_is(history: list[str]) -> None:
    assert resolve("what about surgery?", history) == Resolved("what about surgery?")


def test_a_full_question_leaves_the_topic_aside_and_says_so() -> None:
    resolved = resolve("what is the best mattress?", ["what is sciatica?"])
    assert resolved == Resolved("what is the best mattress?", (), changed_topic=True)


def test_a_question_about_the_same_thing_is_no_change_of_topic() -> None:
    assert resolve("who gets sciatica most?", ["what is sciatica?"]) == Resolved("who gets sciatica most?")


def test_thanks_carry_nothing_and_change_nothing() -> None:
    assert resolve("ok thanks!", ["what is sciatica?"], overlap) == Resolved("ok thanks!")


def test_an_announced_change_is_searched_without_its_announcement() -> None:
    resolved = resolve("Ok, different question: what is a bunion?", ["what is sciatica?"], lambda _: 1.0)
    assert resolved == Resolved("what is a bunion?", (), changed_topic=True)


def test_an_announced_question_that_points_back_still_leans() -> None:
    resolved = resolve("new question: does it run in families?", ["what is sciatica?"])
    assert resolved == Resolved("sciatica: does it run in families?", ("sciatica",))


def test_the_index_overrules_the_look_of_a_follow_up() -> None:
    history = ["how is frog pose done"]
    question = "and osteoporosis treatment"
    assert resolve(question, history).carried == ("frog", "pose")
    assert resolve(question, history, overlap) == Resolved(question, (), changed_topic=True)


def test_the_index_finds_a_follow_up_that_does_not_look_like_one() -> None:
    history, question = ["osteoporosis treatment makes bones what?"], "stronger with tablets"
    assert resolve(question, history).carried == ()
    assert resolve(question, history, overlap).text == f"osteoporosis bones: {question}"


def test_a_question_that_has_nothing_to_do_with_the_topic_is_not_answered_with_it() -> None:
    strengths = {"sciatica: and bitcoin?": 0.4, "and bitcoin?": 0.1, "sciatica": 0.7}
    assert resolve("and bitcoin?", ["what is sciatica?"], strengths.__getitem__).carried == ()
    fitting = strengths | {"sciatica": 0.45}
    assert resolve("and bitcoin?", ["what is sciatica?"], fitting.__getitem__).carried == ("sciatica",)


def test_the_index_is_asked_at_most_three_times_a_question() -> None:
    asked: list[str] = []

    def strength(text: str) -> float:
        asked.append(text)
        return float(":" in text)

    resolve("and for swimmers?", ["what is sciatica?"], strength)
    assert len(asked) == 3
    asked.clear()
    resolve("why?", ["what is sciatica?"], strength)
    assert asked == []
    resolve("how do bones knit again", ["how is frog pose done?"] * 100, strength)
    assert len(asked) <= 3 * (TURNS + 1)


def test_only_the_last_turns_count() -> None:
    history = ["what is scoliosis?", *["symptoms?"] * TURNS]
    assert resolve("why?", history).carried == ("symptoms",)
    assert resolve("why?", history[:TURNS]).carried == ("scoliosis",)


def test_of_a_long_topic_the_first_and_the_last_words_are_carried() -> None:
    words = [f"hip{chr(97 + i)}" for i in range(20) if i != 18]
    half = CARRIED_WORDS // 2
    assert resolve("why?", [" ".join(words)]).carried == (*words[:half], *words[-half:])


def test_the_beginning_of_a_long_turn_is_read_to_its_last_whole_word() -> None:
    assert resolve("why?", ["sciatica " + "is " * 163 + "osteoporosis"]).carried == ("sciatica",)
    assert resolve("why?", ["x" * 5000]).carried == ()


def words_of(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", text))


TALK = st.lists(
    st.sampled_from(
        "and what about how long does it take is that the hip stenosis bones frog-pose Paget's they've thanks, new question: "
        "surgery? 71 III ﬁbula “quoted” knee. – why ? it's unrelated something else".split(" ")
    ),
    max_size=25,
).map(" ".join)
ANY = st.one_of(TALK, st.text(max_size=300))


@given(question=ANY, history=st.lists(ANY, max_size=8), strengths=st.one_of(st.none(), st.integers(0, 99)))
@example(question="why?", history=["a" * 100_000] * 100, strengths=7)
@example(question="is it? " * 285, history=["hip, " * 20_000], strengths=None)
def test_nothing_is_invented_and_everything_is_bounded(question: str, history: list[str], strengths: int | None) -> None:
    strength = None if strengths is None else lambda text: (len(text) * 31 + strengths) % 100 / 100
    resolved = resolve(question, history, strength)
    said = set().union(*map(words_of, history))
    assert words_of(resolved.text) <= words_of(question) | said
    assert all(words_of(word) <= said for word in resolved.carried)
    assert len(resolved.carried) <= CARRIED_WORDS
    assert len(resolved.text) <= len(question) + CARRIED_WORDS * (WORD_CHARACTERS + 1) + 1
    assert not (resolved.carried and resolved.changed_topic)
    if resolved.carried:
        before, _, rest = resolved.text.partition(": ")
        assert before == " ".join(resolved.carried)
        assert rest in question
    else:
        assert resolved.text in question
    assert bool(resolved.text.strip()) == bool(question.strip())


@given(question=ANY, strengths=st.integers(0, 99))
def test_without_history_nothing_is_carried_or_changed(question: str, strengths: int) -> None:
    resolved = resolve(question, (), lambda text: (len(text) + strengths) % 100 / 100)
    assert (resolved.carried, resolved.changed_topic) == ((), False)


@pytest.fixture(scope="module")
def starter_searcher(starter: LocalIndex) -> Searcher:
    return Searcher(starter)


@pytest.fixture(scope="module")
def both_searchers(starter_searcher: Searcher, starter_path: Path, shared: Path) -> dict[str, Searcher]:
    seed = open_or_build(load_dataset(shared / "eval" / "seed", "test"), DEFAULT_MODEL, starter_path.parent)
    return {"starter": starter_searcher, "seed": Searcher(seed)}


def dialogues(name: str, kind: str, *corpora: str) -> list[Dialogue]:
    found = load_dialogues(DATA / f"dialogues_{name}.jsonl")
    return [d for d in found if d.kind == kind and d.corpus in corpora]


def check_level(asked: list[Dialogue], searchers: dict[str, Searcher], level: float) -> None:
    resolved, written = (sum(successes(asked, searchers, arm)) for arm in ("resolved", "written out"))
    assert written >= 0.8 * len(asked) > 0
    assert resolved >= level * written, f"{resolved} of {written}"


@pytest.mark.parametrize("name", FILES)
def test_follow_ups_find_their_passage_and_a_new_topic_loses_nothing(both_searchers: dict[str, Searcher], name: str) -> None:
    corpora = ("starter", "seed")
    check_level(dialogues(name, "follow_up", *corpora), both_searchers, LEVEL)
    check_level(dialogues(name, "topic_change", *corpora), both_searchers, 1.0)


@pytest.mark.parametrize("name", FILES)
def test_the_same_holds_on_the_starter_corpus_alone(starter_searcher: Searcher, name: str) -> None:
    searchers = {"starter": starter_searcher}
    check_level(dialogues(name, "follow_up", "starter"), searchers, LEVEL)
    check_level(dialogues(name, "topic_change", "starter"), searchers, 1.0)


def test_resolving_beats_asking_alone_and_joining_everything(starter_searcher: Searcher) -> None:
    searchers = {"starter": starter_searcher}
    follow_ups, changes = ([*dialogues("tuning", kind, "starter"), *dialogues("cues", kind, "starter")] for kind in KINDS)
    found = {arm: [sum(successes(asked, searchers, arm)) for asked in (follow_ups, changes)] for arm in ARMS}
    assert found["resolved"][0] > found["alone"][0]
    assert found["resolved"][0] >= found["joined"][0]
    assert found["resolved"][1] > found["joined"][1]


def test_a_question_written_out_carries_hardly_anything_from_unrelated_dialogues(starter_searcher: Searcher) -> None:
    asked = [d for name in ("tuning", "cues") for kind in KINDS for d in dialogues(name, kind, "starter")]
    pairs = list(unrelated(asked))
    carried = [own for own, other in pairs if resolve(own.standalone, other.turns, starter_searcher.strength).carried]
    assert len(pairs) > 300
    assert len(carried) <= 0.02 * len(pairs)


def test_the_dialogues_are_as_many_and_as_long_as_said() -> None:
    own = {name: load_dialogues(DATA / f"dialogues_{name}.jsonl") for name in FILES}
    assert len(own["tuning"]) == len(own["held"]) == 55
    everything = [d for found in own.values() for d in found]
    assert len({(d.turns, d.corpus) for d in everything}) == len(everything)
    assert {len(d.turns) for d in everything} == {2, 3}
    assert {d.corpus for d in everything} == {"starter", "seed"}
    assert {d.kind for d in everything} == set(KINDS)
