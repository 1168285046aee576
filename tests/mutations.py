"""The ways people really type: each mutation keeps what a message says and changes how it is written.

Every mutation is a function of the message and a seeded generator, so a run can be repeated. A slip of the pen changes one
letter of one word of five letters or more: never its first letter, never in a word that is misspelt already or in dialect,
and never so that another word comes out that the rules know ("waking" for "walking"). Those four are known limits, named in
docs/safety.md.
"""

import random
import re
from collections.abc import Callable, Iterator

from qa.flags import load_rules
from qa.message import SAME_WORD

VOCABULARY = load_rules().vocabulary
LONG = 5  # letters of a word that may take a slip
_NEIGHBOURS = dict(
    zip(
        "qwertyuiopasdfghjklzxcvbnm",
        "wa,qes,wrd,etf,ryg,tuh,yij,uok,ipl,ol,qsz,adwx,sfec,dgrv,fhtb,gjyn,hkum,jli,kop,xas,zcsd,xvdf,cbfg,vngh,bmhj,nkj".split(
            ","
        ),
        strict=True,
    )
)
_FILLERS = ("um", "like", "honestly", "pls help", "tbh", "lol", "you know", "idk", "erm", "basically")
_GREETINGS = ("Hi, ", "hello ", "Hey there, ", "Good morning. ", "hi all, ", "Dear doctor, ", "ok so ", "quick question: ")
_ENDINGS = (" thanks", ". Thank you!", " pls help", " thx", " cheers", " ta", ". Any advice?", " x", "... sorry for long post")
_EMOJI = ("😢", "🙏", "😩", "🤔", "❤️", "😭")
_JOINS = {
    "cannot": "can not",
    "myself": "my self",
    "himself": "him self",
    "herself": "her self",
    "without": "with out",
    "backache": "back ache",
    "downstairs": "down stairs",
    "anymore": "any more",
    "overnight": "over night",
}
Mutation = Callable[[str, random.Random], str]


def _is_misspelt(word: str) -> bool:
    plain = word.lower()
    dialect = SAME_WORD.get(plain, plain) != plain and plain != "cannot" and not SAME_WORD[plain].isdecimal()
    return dialect or (not VOCABULARY.knows(plain) and bool(VOCABULARY.keys_of(plain)))


def _slip(text: str, rng: random.Random, change: Callable[[str, int, random.Random], str]) -> str:
    """Change one letter, never the first, of one long word."""
    words = [m for m in re.finditer(r"[^\W\d_]+", text) if len(m[0]) >= LONG and not _is_misspelt(m[0])]
    if not words:
        return text
    for _ in range(20):
        word = rng.choice(words)
        slip = change(word[0], rng.randrange(1, len(word[0])), rng)
        if not VOCABULARY.knows(slip.lower()):
            return text[: word.start()] + slip + text[word.end() :]
    return text


def letter_lost(text: str, rng: random.Random) -> str:
    """Leave a letter out of a long word."""
    return _slip(text, rng, lambda word, i, _: word[:i] + word[i + 1 :])


def letter_doubled(text: str, rng: random.Random) -> str:
    """Type a letter of a long word twice."""
    return _slip(text, rng, lambda word, i, _: word[:i] + word[i] + word[i:])


def letters_swapped(text: str, rng: random.Random) -> str:
    """Swap two neighbouring letters of a long word, never its first."""

    def swap(word: str, place: int, _: random.Random) -> str:
        i = min(place, len(word) - 2)
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]

    return _slip(text, rng, swap)


def neighbouring_key(text: str, rng: random.Random) -> str:
    """Hit the key beside the right one in a long word."""
    return _slip(text, rng, lambda w, i, r: w[:i] + r.choice(_NEIGHBOURS.get(w[i].lower(), w[i])) + w[i + 1 :])


def capitals(text: str, _: random.Random) -> str:
    """Write everything in capitals."""
    return text.upper()


def small_letters(text: str, _: random.Random) -> str:
    """Write everything in small letters."""
    return text.lower()


def no_punctuation(text: str, _: random.Random) -> str:
    """Leave out every mark but apostrophes, and the points within numbers."""
    return " ".join(re.sub(r"(?<!\d)[.]|[.](?!\d)|[,;:!?()\"–—]|(?<!\w)-|-(?!\w)", " ", text).split())


def no_apostrophes(text: str, _: random.Random) -> str:
    """Leave out the apostrophes."""
    return re.sub("['’‘]", "", text)


def curly_apostrophes(text: str, _: random.Random) -> str:
    """Write typographic apostrophes."""
    return text.replace("'", "’")


def space_lost(text: str, rng: random.Random) -> str:
    """Run two words together."""
    pairs = [m for m in re.finditer(r"([^\W\d_]+) (?=([^\W\d_]+))", text) if not any(map(_is_misspelt, m.groups()))]
    if not pairs:
        return text
    place = rng.choice(pairs).end()
    return text[: place - 1] + text[place:]


def space_added(text: str, rng: random.Random) -> str:
    """Part a compound word where its parts meet, or widen the spaces where the message has none such."""
    found = [m for m in re.finditer(r"[^\W\d_]+", text) if m[0].lower() in _JOINS]
    if not found:
        return text.replace(" ", "  ")
    word = rng.choice(found)
    return text[: word.start()] + _JOINS[word[0].lower()] + text[word.end() :]


def filler_put_in(text: str, rng: random.Random) -> str:
    """Put a word that means nothing between two words of the message."""
    words = text.split(" ")
    place = rng.randrange(1, len(words)) if len(words) > 1 else 0
    return " ".join([*words[:place], rng.choice(_FILLERS), *words[place:]])


def greeting_before(text: str, rng: random.Random) -> str:
    """Greet first."""
    return rng.choice(_GREETINGS) + text


def thanks_after(text: str, rng: random.Random) -> str:
    """Say thanks, or go on about nothing, at the end."""
    return text.rstrip(".") + rng.choice(_ENDINGS)


def emoji_put_in(text: str, rng: random.Random) -> str:
    """Put an emoji between two words and another at the end."""
    words = text.split(" ")
    place = rng.randrange(len(words))
    return " ".join([*words[:place], rng.choice(_EMOJI), *words[place:]]) + rng.choice(_EMOJI)


def lines_broken(text: str, rng: random.Random) -> str:
    """Start a new line after each sentence, and one after a comma or before a joining word."""
    broken = re.sub(r"(?<=[.!?]) ", "\n", text)
    spaces = [m.start() for m in re.finditer(r"(?<=,) | (?=(?:and|but|because|so)\b)", broken)]
    if not spaces:
        return broken
    place = rng.choice(spaces)
    return broken[:place] + "\n" + broken[place + 1 :]


MUTATIONS: tuple[Mutation, ...] = (
    letter_lost,
    letter_doubled,
    letters_swapped,
    neighbouring_key,
    capitals,
    small_letters,
    no_punctuation,
    no_apostrophes,
    curly_apostrophes,
    space_lost,
    space_added,
    filler_put_in,
    greeting_before,
    thanks_after,
    emoji_put_in,
    lines_broken,
)


def mutated(text: str, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Yield the name of each mutation and the message it makes; the same for the same message and seed."""
    for mutation in MUTATIONS:
        yield mutation.__name__, mutation(text, random.Random(f"{seed} {mutation.__name__} {text}"))
