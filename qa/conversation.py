"""Follow-up questions: what to search for when a question leans on the ones before it.

Three things decide. The question's own words say how far it leans: wholly ("why?"), on what it points to ("can it be
cured?"), by the look of it ("and for runners?"), or not at all. The topic is what the earlier questions were about: their
words less the everyday ones, gathered for as long as each leaned on the one before. And the index says whether it answers
the question better with the topic than without: the less a question leans, the more it must. Nothing here reads answers,
writes a word of its own or knows any medicine beyond the words that fit every illness ("symptoms", "surgery").

    "what is spinal stenosis?", "what about surgery?"  ->  "spinal stenosis: what about surgery?"
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

# Earlier questions that count, and the characters of each that are read.
TURNS = 4
TURN_CHARACTERS = 500
# Words carried at most: of a longer topic its first and its last; and the longest word that is carried.
CARRIED_WORDS = 14
WORD_CHARACTERS = 40

# How well the index answers a text: the similarity of its best hit, 0 to 1.
Strength = Callable[[str], float]


@dataclass(frozen=True, slots=True)
class Resolved:
    """What to search for: ``text`` is the words ``carried`` from earlier questions, then the question.

    ``changed_topic`` says that there was an earlier topic, that nothing of it was carried and that the question shares no
    word with it.
    """

    text: str
    carried: tuple[str, ...] = ()
    changed_topic: bool = False


class Lean(IntEnum):
    """How far a question leans on the ones before it, by its own words."""

    APART = 0  # says that it is about something else, or nothing but thanks
    NONE = 1  # a full question
    WEAK = 2  # looks like a follow-up, but says what it is about
    STRONG = 3  # points outside itself
    WHOLLY = 4  # could be asked of any subject


@dataclass(frozen=True, slots=True)
class Proof:
    """What the index must show before a topic is carried.

    The question with the topic must be answered better than without by at least ``gain``, and than the topic alone by at
    least ``fit``, which is missed where the question has nothing to do with the topic.
    """

    gain: float
    fit: float


# Chosen on the tuning dialogues and on pairs of unrelated questions, for the default encoder (benchmarks/dialogues.py).
PROOFS = {Lean.NONE: Proof(0.2, 0.0), Lean.WEAK: Proof(0.15, -0.1), Lean.STRONG: Proof(0.05, -0.2)}
# Without an index, a question that looks like a follow-up is one if it has at most this many words of its own.
WEAK_WORDS = 2

_WORD = re.compile(r"[^\W_]+(?:['’‘-][^\W_]+)*")
_CLITIC = re.compile(r"['’‘](?:s|m|d|re|ve|ll)$")
_COURTESY = frozenset(
    "yes yeah no ok okay right fine great good thank thanks cheers please sorry hi hello hey bye you very much so lot a".split()
)
_EVERYDAY = _COURTESY | frozenset(
    """
    the and an or but nor if of in on at to for from with without by about as into onto over under up down out off than
    then too also just only really quite still ever even though tho because while until before after during since through
    is are was were be been being am do does did doing done have has had having can could will would shall should may
    might must cant cannot wont dont doesnt didnt isnt arent wasnt werent shouldnt couldnt wouldnt havent hasnt hadnt ive
    im ill id youre youve theyre theyve theyll hes shes itll thats theres whats hows wheres whos i me my mine myself your
    yours yourself he him his himself she her hers herself it its itself we us our they them their theirs themselves this
    that these those there here any some anything something nothing everything anyone someone everyone nobody all both
    each every not none never now well again instead else other others another same such one ones thing things kind kinds
    sort sorts type types way ways who whom whose which what when where why how more most less least lots bit few many
    get gets got getting go goes going gone away come comes make makes made take takes took taken want wants need needs
    know tell told tells say says said think thought mean means meant like use used using uses try tried happen happens
    ask asking asked question heard read wonder wondering suggest suggests suggested find found show shows better best
    worse worst bad first second third long often usually sometimes always ago yesterday today tomorrow week weeks day
    days month months year years hour hours minute minutes time times wrong difference between mum mom dad mother father
    brother sister husband wife friend son daughter daughters doctor doctors gp
    """.split()
)
# What can be asked of any illness or treatment: no question's topic, and not carried where a turn says anything else.
_ASPECTS = frozenset(
    """
    cause causes caused symptom symptoms sign signs feel feels treat treats treated treating treatment treatments cure cures
    cured curable diagnose diagnosed diagnosis test tests tested risk risks risky danger dangers dangerous safe serious
    prevent prevented prevention avoid help helps helped work works effect effects drawback drawbacks damage permanent recover
    recovery heal heals healed healing last lasts outlook cost costs common rare option options alternative alternatives
    advice chance chances complication complications reason reasons needed necessary given
    """.split()
)
# What any illness can be treated or felt by: no topic of its own to a later question, but carried as part of one.
_GENERAL = frozenset(
    """
    surgery surgeries surgical operation operations operate exercise exercises exercising medicine medicines medication
    medications drug drugs tablet tablets pill pills painkiller painkillers therapy therapies physio physiotherapy rest
    side painful hurt hurts pain relief relieve step steps stage stages
    """.split()
)
_POINTERS = frozenset("it itll thats this that these those them one ones".split())
# Pointers that may well mean the subject of their own clause ("do discs shrink as they age").
_BOUND = frozenset("its itself they theyre theyve theyll their theirs he him his she her hers shes hes there then such".split())
# "it", "that" and "there" that point to nothing.
_EMPTY_POINTER = re.compile(
    r"\b(?:is|was|be|would|could|does|will|s)\s+(?:not\s+)?it\s+(?:\w+\s+){0,2}?(?:to|that|if|for\s+\w+\s+to)\b"
    r"|\bit\s+(?:takes?|is|was|hurts?|helps?|means?|matters?)\s+(?:\w+\s+){0,2}?(?:to|that|if|when|whether)\b"
    r"|\bthat(?:['’]?s|\s+is|\s+was)?\s+(?:very\s+|really\s+)?(?:helps|helped|helpful|great|good|clear|useful|all)\b"
    r"|\b(?:is|are)\s+there\b|\bthere\s+(?:is|are)\b|\bso\s+that\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"[.,;:!?()–—\n]+|\s-+\s|\b(?:and|but|so|or|when|if|while|after|before|because|as|until|since|where)\b", re.IGNORECASE
)
_GREETING = re.compile(
    r"\A[\s.,-]*(?:\b(?:ok|okay|right|yes|yeah|no|sorry|thanks|thank you|hi|hello)\b[\s.,!-]*)*", re.IGNORECASE
)
_OPENING = re.compile(r"(?:and|or|but|also|then|so|plus|what about|how about|what if|why not|same for)\b", re.IGNORECASE)
_ENDING = re.compile(r"\b(?:too|either|as well|instead|afterwards?|any ?more|any longer)\W*$", re.IGNORECASE)
_DEFINITION = re.compile(r"(?:what|who)(?:['’]?s|\s+is|\s+are)\b", re.IGNORECASE)
_STORY = re.compile(r"(?:i|i['’]?m|i['’]?ve|my|we|our|the|he|she|they|been|still)\b", re.IGNORECASE)
_ASKING = re.compile(
    r"\?|\b(?:who|whom|whose|which|whats?|when|where|why|how|can|could|would|should|is|are|does|do|will)\b", re.IGNORECASE
)
_NEW = re.compile(
    r"(?:\A|[.,:;!?()–—-])\s*(?:\b(?:ok|okay|right|thanks|and|now|but|so|on|to|for|a|an|i|have|ive|just|one|completely)\b[\s,.]*){0,5}"
    r"\b(?:(?:new|different|unrelated|separate)\s+(?:question|topic|subject|matter)|(?:another|next)\s+(?:topic|subject)"
    r"|chang(?:e|ing)\s+(?:of|the)\s+(?:topic|subject)|something\s+(?:else|different)(?=\s*[.,:;–—-])|another\s+note|moving\s+on"
    r"|never\s*mind(?:\s+that)?|forget\s+(?:that|it|about\s+(?:that|it)))\b"
    r"(?:\s+(?:now|then|please|though|but))*[\s.,:;!?()–—-]*",
    re.IGNORECASE,
)


def resolve(question: str, history: Sequence[str], strength: Strength | None = None) -> Resolved:
    """Return what to search for a question asked after the ones in ``history``, oldest first.

    ``strength`` asks the index, at most three times for each question read; without it the words alone decide.
    """
    topic = _topic(history, strength)
    lean, said = read_lean(question)
    carried = _carried(lean, said, topic, strength)
    if carried:
        return Resolved(f"{' '.join(carried)}: {said}", carried)
    about = _content(said)
    return Resolved(said, (), bool(topic and about) and len(_unsaid(topic, about)) == len(topic))


def read_lean(question: str) -> tuple[Lean, str]:
    """Return how far a question leans by its own words, and the question without words that announce a new topic."""
    marker = _NEW.search(question)
    said = (question[marker.end() :].strip() or question[: marker.start()].strip()) if marker else ""
    if not _WORD.search(said):
        return (Lean.APART if marker else _lean(question)), question
    lean = _lean(said)
    return (lean if lean >= Lean.STRONG else Lean.APART), said


def _topic(history: Sequence[str], strength: Strength | None) -> tuple[str, ...]:
    """Return the words that the last questions were about, oldest first."""
    topic: tuple[str, ...] = ()
    for past in history[-TURNS:]:
        lean, turn = read_lean(_beginning(past))
        content = _content(turn)
        found = tuple(word for word in content if _plain(word) not in _ASPECTS) or (() if topic else content)
        if found:
            goes_on = lean >= Lean.STRONG or (lean > Lean.APART and (_is_story(turn) or _carried(lean, turn, topic, strength)))
            topic = (*topic, *_unsaid(found, topic)) if goes_on else found
    return topic


def _beginning(text: str) -> str:
    """Return the whole words within the first characters of a turn."""
    return text if len(text) <= TURN_CHARACTERS else text[:TURN_CHARACTERS].rpartition(" ")[0]


def _carried(lean: Lean, question: str, topic: tuple[str, ...], strength: Strength | None) -> tuple[str, ...]:
    """Return the words of the topic to search a question with; none where it stands by itself."""
    half = CARRIED_WORDS // 2
    short = topic if len(topic) <= CARRIED_WORDS else (*topic[:half], *topic[-half:])
    words = _unsaid(short, _WORD.findall(question))
    if not words or lean == Lean.APART:
        return ()
    if lean == Lean.WHOLLY:
        return words
    if strength is None:
        leans = lean == Lean.STRONG or (lean == Lean.WEAK and len(_own(question)) <= WEAK_WORDS)
        return words if leans else ()
    return words if _is_proven(PROOFS[lean], " ".join(words), question, strength) else ()


def _is_proven(proof: Proof, topic: str, question: str, strength: Strength) -> bool:
    together = strength(f"{topic}: {question}")
    return together - strength(question) >= proof.gain and together - strength(topic) >= proof.fit


def _lean(question: str) -> Lean:
    if all(word in _COURTESY for word in map(_plain, _WORD.findall(question))):
        return Lean.APART
    own = _own(question)
    if not own:
        return Lean.WHOLLY
    pointer = _pointer(question)
    if pointer is not None:
        return pointer
    start = _GREETING.sub("", question)
    if _OPENING.match(start) or _ENDING.search(start) or _is_story(start):
        return Lean.WEAK
    short = len(own) == 1 and not _DEFINITION.match(start) and _ASKING.search(start)
    return Lean.WEAK if short else Lean.NONE


def _pointer(question: str) -> Lean | None:
    """Return STRONG for a pointer that nothing before it can explain, WEAK for one that something might, else None."""
    found: Lean | None = None
    before = 0
    for clause in _CLAUSE.split(_EMPTY_POINTER.sub(" ", question)):
        words = _WORD.findall(clause)
        own = 0
        for number, word in enumerate(map(_plain, words)):
            bound = word in _BOUND
            if bound or (word in _POINTERS and not _joins(words, number)):
                if not before and not (bound and own):
                    return Lean.STRONG
                found = Lean.WEAK
            own += _is_own(word)
        before += own
    return found


def _joins(words: Sequence[str], number: int) -> bool:
    """Say whether a word is a "that" between a noun and what is said of it ("the muscle that lifts the leg")."""
    inside = 0 < number < len(words) - 1
    return inside and _plain(words[number]) == "that" and _is_content(words[number - 1])


def _is_story(text: str) -> bool:
    """Say whether a text tells something and asks nothing."""
    return bool(_STORY.match(text)) and not _ASKING.search(text)


def _content(text: str) -> tuple[str, ...]:
    """Return the words of a text that are not everyday words, as written, each once."""
    return _unsaid([word for word in _WORD.findall(text) if _is_content(word)], ())


def _own(text: str) -> list[str]:
    """Return the words that could be a question's own topic."""
    return [word for word in _content(text) if _is_own(_plain(word))]


def _is_content(word: str) -> bool:
    plain = _plain(word)
    return plain not in _EVERYDAY and not plain.isdigit() and len(word) <= WORD_CHARACTERS


def _is_own(plain: str) -> bool:
    return _is_content(plain) and plain not in _ASPECTS and plain not in _GENERAL


def _unsaid(words: Sequence[str], said: Sequence[str]) -> tuple[str, ...]:
    """Return the words whose stem is neither among those said nor earlier among themselves."""
    seen = {_stem(word) for word in said}
    kept = []
    for word in words:
        if _stem(word) not in seen:
            seen.add(_stem(word))
            kept.append(word)
    return tuple(kept)


def _plain(word: str) -> str:
    """Return a word in small letters without apostrophes, and without what "they've" and "Paget's" have after theirs."""
    return re.sub("['’‘]", "", _CLITIC.sub("", unicodedata.normalize("NFKC", word).casefold()))


def _stem(word: str) -> str:
    plain = _plain(word)
    return plain[:-1] if len(plain) > 3 and plain.endswith("s") and not plain.endswith("ss") else plain
