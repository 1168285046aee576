"""Wording: slips put right against the corpus, lay words given their medical names, medicines never changed into others."""

import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from benchmarks.misspelling import lay_variant, misspell
from index.lay_terms import LayTermsError, lay_terms, lay_words, read_terms, texting
from index.medicines import REACH, is_medicine, medicines
from index.sounds import sound
from index.spelling import is_negation, slip_cost
from index.vocabulary import (
    Vocabulary,
    english,
    open_vocabulary,
    words_of,
    write_vocabulary,
)
from index.wording import Wording, reword

# A corpus of a few chunks; words that matter stand in several, as they do in a real one.
TEXTS = (
    "Low back pain and sciatica: pain in the lower back that runs down the leg, often from a herniated disc.",
    "Most lower back pain gets better. Sciatica is nerve pain; a herniated disc can press on the sciatic nerve.",
    "Hip replacement is surgery for a worn hip. Arthritis and osteoarthritis wear out the hip joint.",
    "Osteoporosis makes bones weak. A vertebra may break; a vertebral fracture hurts. Bursitis and piriformis syndrome hurt.",
    "An injection of steroid near the nerve may ease sciatica. Physical therapy and exercise help the lower back.",
    "Pneumonia is an infection of the lungs. Iliopsoas strain hurts the buttock or groin. See a doctor about a bulging disc.",
    "Codeine and tramadol are opioids; constipation is common. Spinal stenosis and spondylosis narrow the canal.",
    "People who cannot walk should not wait. Ice or heat may help a pulled muscle. Abduction lifts the leg. Paget's disease.",
) * 3


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    folder = tmp_path_factory.mktemp("vocabulary")
    write_vocabulary(TEXTS, folder)
    return open_vocabulary(folder)


def spellings(wording: Wording) -> dict[str, str]:
    return {change.original: change.replacement for change in wording.changes if change.kind == "spelling"}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("my lower bak hurts", "my lower back hurts"),
        ("does siatica go away", "does sciatica go away"),
        ("hip relacement", "hip replacement"),
        ("sore bck", "sore back"),
        ("athritis", "arthritis"),
        ("artheritis", "arthritis"),
        ("siatic nerve", "sciatic nerve"),
        ("illiopsoas", "iliopsoas"),
        ("buldging disc", "bulging disc"),
        ("pirifomis", "piriformis"),
        ("vertabra", "vertebra"),
        ("osteoperosis", "osteoporosis"),
        ("brusitis", "bursitis"),
        ("numonia", "pneumonia"),
        ("new monia", "pneumonia"),
        ("sciat ica", "sciatica"),
        ("lowerback pain", "lower back pain"),
        ("Pagett's disease", "Paget's disease"),
        ("wat helps", "what helps"),
        ("codene", "codeine"),
    ],
)
def test_a_misspelt_word_is_put_right(vocabulary: Vocabulary, typed: str, meant: str) -> None:
    wording = reword(typed, vocabulary)
    assert wording.corrected == meant
    assert wording.searched_as is not None
    assert wording.searched_as.startswith(meant)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("SIATICA HURTS", "SCIATICA HURTS"),
        ("Siatica hurts", "Sciatica hurts"),
        ("is it siatica's fault", "is it sciatica's fault"),
    ],
)
def test_case_and_possessive_endings_are_kept(vocabulary: Vocabulary, typed: str, meant: str) -> None:
    assert reword(typed, vocabulary).corrected == meant


@pytest.mark.parametrize(
    "question",
    [
        'what does "siatica" mean',
        "what does ‘siatica’ mean",
        "is 20mg of bak5 or 5 mgs too much",
        "write to bak@hospital or www.siatica.org/bak",
        "I dont, can't and wont walk; nto now",
        "does MRI or IDET work",
        "is mRNA involved",
        "колено болит",
        "the neighbour's orthopaedic colour programme in the theatre",
        "",
    ],
)
def test_what_is_no_slip_stays_as_it_is(vocabulary: Vocabulary, question: str) -> None:
    assert not spellings(reword(question, vocabulary))
    assert reword(question, vocabulary).corrected == question


@pytest.mark.parametrize("word", ["spondylolysis", "hypertension", "adduction", "spondylitis", "osteolysis"])
def test_no_slip_leads_across_a_medical_prefix_or_ending(vocabulary: Vocabulary, word: str) -> None:
    assert not spellings(reword(word, vocabulary))


def test_nothing_changed_is_nothing_said(vocabulary: Vocabulary) -> None:
    wording = reword("does exercise help the lower back?", vocabulary)
    assert wording.searched_as is None
    assert wording.translated == wording.question
    assert wording.changes == ()
    assert wording.expansions == ()


@pytest.mark.parametrize("word", ["bariatric", "elegans", "phage"])
def test_a_word_like_none_of_the_corpus_is_left(vocabulary: Vocabulary, word: str) -> None:
    assert reword(word, vocabulary).searched_as is None


def test_changes_name_the_places_in_the_question(vocabulary: Vocabulary) -> None:
    question = "Is a jab good for siatica, or for slipped discs?"
    wording = reword(question, vocabulary)
    assert [(c.original, c.replacement, c.kind) for c in wording.changes] == [
        ("jab", "injection", "lay"),
        ("siatica", "sciatica", "spelling"),
        ("slipped discs", "herniated disc", "lay"),
    ]
    assert all(question[c.start : c.end] == c.original for c in wording.changes)
    assert wording.expansions == ("injection", "herniated disc")
    assert wording.corrected == "Is a jab good for sciatica, or for slipped discs?"
    assert wording.translated == "Is a injection good for sciatica, or for herniated disc?"
    assert wording.searched_as == "Is a jab good for sciatica, or for slipped discs? (injection, herniated disc)"


@pytest.mark.parametrize(
    ("question", "expansions"),
    [
        ("my bum is sore", ("buttock",)),
        ("at the bottom of the page", ()),
        ("a long shot", ()),
        ("cortisone shots", ("injection", "steroid injection")),
        ("I have thin bones", ("osteoporosis",)),
        ("slippd disc", ("herniated disc",)),
        ("slipped, disc", ()),
        ("physio for my hip", ("physical therapy",)),
        ("physical therapy for my hip", ()),  # the corpus has no "physio"
        ("codeine has me bunged up", ("constipation",)),
        ("what to expect", ()),
        ('what is a "slipped disc"', ()),
        ("injection or jab", ()),  # the question says it already
    ],
)
def test_lay_words_get_the_medical_names_that_the_corpus_holds(
    vocabulary: Vocabulary, question: str, expansions: tuple[str, ...]
) -> None:
    found = reword(question, vocabulary).expansions
    assert set(found) <= set(expansions)
    assert bool(found) == bool(expansions)


def test_a_phrase_stands_for_any_owner(vocabulary: Vocabulary) -> None:
    for whose in ("my", "her", "his", "your"):
        assert reword(f"gardening put {whose} back out", vocabulary).expansions


def test_the_lay_list_names_no_medicine_but_by_its_other_name() -> None:
    allowed = set("paracetamol acetaminophen adrenaline epinephrine lidocaine lignocaine salbutamol albuterol".split())
    for terms in lay_terms().values():
        for term in terms:
            named = {word for name in term.names for word in name.split() if word in medicines()}
            assert not named or term.phrase[0] in allowed, term
    pairs = {term.phrase[0]: term.names for first in allowed for term in lay_terms()[first]}
    assert pairs["paracetamol"] == ("acetaminophen",)
    assert pairs["albuterol"] == ("salbutamol",)


def test_the_lay_list_is_whole() -> None:
    phrases = [term.phrase for terms in lay_terms().values() for term in terms]
    assert len(phrases) == len(set(phrases)) > 500
    assert all(phrase and len(phrase) <= 6 and all(word == word.lower() for word in phrase) for phrase in phrases)
    assert not any(is_negation(meant) for meant in texting().values())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"lay": [{"say": ["bum"]}]}, "expected a list of strings for 'mean'"),
        ({"lay": {"say": ["bum"]}}, "expected \\[\\[lay\\]\\] tables"),
        ({"same": [{"names": "oedema"}]}, "expected a list of strings for 'names'"),
    ],
)
def test_a_malformed_list_is_refused(table: dict[str, object], message: str) -> None:
    with pytest.raises(LayTermsError, match=message):
        list(read_terms(table))


# --- medicines ----------------------------------------------------------------------------------------------------------


def test_the_list_of_medicines_is_long_sorted_and_plain() -> None:
    path = Path(__file__).parents[1] / "index" / "drug_names.txt"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert lines == sorted(set(lines))
    assert len(lines) >= 800
    assert all(re.fullmatch("[a-z]{3,}", line) for line in lines)


@pytest.mark.parametrize(
    "pair",
    [
        "hydroxyzine hydralazine",
        "tramadol trazodone",
        "prednisone prednisolone",
        "celebrex celexa",
        "clonidine clonazepam",
        "metformin metronidazole",
        "lamotrigine terbinafine",
        "lamictal lamisil",
        "cycloserine cyclosporine",
        "zantac zyrtec",
        "morphine hydromorphone",
    ],
)
def test_look_alike_pairs_are_both_listed(pair: str) -> None:
    assert set(pair.split()) <= medicines()


def test_a_listed_medicine_is_never_changed(vocabulary: Vocabulary) -> None:
    for name in sorted(medicines()):
        for typed in (name, name.upper(), name.capitalize(), f"{name}'s"):
            question = f"can i take {typed} for it"
            assert reword(question, vocabulary).corrected == question


def test_a_corpus_full_of_other_medicines_tempts_no_name(tmp_path: Path) -> None:
    names = sorted(medicines())
    write_vocabulary([" ".join(names[::2])] * 50, tmp_path)
    tempting = open_vocabulary(tmp_path)
    assert [name for name in names if reword(f"is {name} safe", tempting).corrected != f"is {name} safe"] == []


def _slips(name: str, chooser: random.Random, count: int) -> set[str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    made = set()
    for _ in range(count):
        at = chooser.randrange(len(name))
        made.add(
            chooser.choice(
                (
                    name[:at] + name[at + 1 :],
                    name[:at] + chooser.choice(letters) + name[at:],
                    name[:at] + chooser.choice(letters) + name[at + 1 :],
                    name[:at] + name[at + 1 : at + 2] + name[at : at + 1] + name[at + 2 :],
                )
            )
        )
    return made - {name}


def test_a_slip_of_a_medicine_leads_to_no_other_medicine(vocabulary: Vocabulary) -> None:
    """One edit from a name, the reading is that name, or no medicine, or the slip is left."""
    chooser = random.Random(20)
    restored = wrong = 0
    for name in sorted(medicines()):
        for typed in _slips(name, chooser, 3):
            (found,) = reword(f"take {typed} daily", vocabulary).corrected.split()[1:-1] or ("",)
            if found == name:
                restored += 1
            elif found != typed and is_medicine(found):
                rivals = [other for other in medicines() if OSA.distance(typed, other, score_cutoff=1) <= 1]
                wrong += rivals != [found]
    assert wrong == 0
    assert restored > 3000


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(medicines())), st.data())
def test_a_slip_near_two_medicines_is_left(vocabulary: Vocabulary, name: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(name)))
    typed = name[:at] + data.draw(st.sampled_from("aeiourstln")) + name[at:]
    near = [other for other in medicines() if OSA.distance(typed, other, score_cutoff=REACH) <= 1]
    found = reword(typed, vocabulary).corrected
    if len(near) > 1 or typed in medicines():
        assert found == typed
    elif is_medicine(found) and found != typed:
        assert found == near[0] == name


@pytest.mark.parametrize("word", ["zorapril", "vexatinib", "metrolimab", "cytidine", "evogliptin", "parazole"])
def test_a_word_formed_as_a_medicine_is_left(vocabulary: Vocabulary, word: str) -> None:
    assert not spellings(reword(f"is {word} safe", vocabulary))


# --- any text -----------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="abcdeikrst '\"“”’.,?!0-9BÉéß中\n", max_size=80))
def test_any_text_is_rewritten_only_where_it_says_so(vocabulary: Vocabulary, question: str) -> None:
    wording = reword(question, vocabulary)
    at, rebuilt = 0, ""
    for change in wording.changes:
        assert question[change.start : change.end] == change.original
        if change.kind == "spelling":
            rebuilt += question[at : change.start] + change.replacement
            at = change.end
    assert wording.corrected == rebuilt + question[at:]
    assert (wording.searched_as is None) == (not wording.changes)


def test_a_long_text_is_left_after_its_first_words(vocabulary: Vocabulary) -> None:
    wording = reword("walk " * 400 + "siatica", vocabulary)
    assert wording.changes == ()


# --- the vocabulary -----------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="abcdefinprst'", min_size=1, max_size=9), st.integers(1, 2))
def test_near_words_are_those_of_a_plain_scan(vocabulary: Vocabulary, word: str, distance: int) -> None:
    scanned = {other: OSA.distance(word, other) for other in vocabulary}
    assert vocabulary.near(word, distance) == {other: apart for other, apart in scanned.items() if apart <= distance}


@pytest.mark.parametrize(
    ("one", "other"),
    [("pneumonia", "newmonia"), ("diarrhoea", "diarea"), ("oedema", "edema"), ("sciatica", "siatika"), ("psoas", "soas")],
)
def test_spellings_of_one_sound_fold_to_the_same(one: str, other: str) -> None:
    assert sound(one) == sound(other)


def test_british_and_american_spellings_are_known() -> None:
    both = "oedema edema haemorrhage hemorrhage paediatric pediatric colour color tyre orthopaedic orthopedic physio can't"
    assert [word for word in both.split() if word not in english() and word not in lay_words()] == []


def test_a_common_slip_is_cheaper_than_a_strange_one() -> None:
    assert slip_cost("siatica", "sciatica") < slip_cost("siatica", "silica")
    assert slip_cost("brusitis", "bursitis") < slip_cost("brusitis", "bruits")
    assert slip_cost("arthrittis", "arthritis") < slip_cost("arthriwtis", "arthritis")
    assert words_of("") == set()


# --- the benchmark's generator --------------------------------------------------------------------------------------------


def test_a_slip_is_made_in_one_word_and_the_same_every_time() -> None:
    question = "what could cause pain on the inner side of my hip?"
    made = {misspell(question, seed) for seed in range(30)}
    assert len(made) > 20
    assert made == {misspell(question, seed) for seed in range(30)}
    for one in made:
        assert sum(a != b for a, b in zip(question.split(), one.split(), strict=True)) == 1
    assert misspell("is it so?", 1) == "is it so?"


def test_a_lay_variant_says_a_medical_word_as_people_do() -> None:
    assert lay_variant("Do steroid injections help?") == "Do steroid jab help?"
    assert lay_variant("how do i stretch?") is None
