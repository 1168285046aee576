"""What a chat client sends, read as a question: the last thing the user said, and what the user said before.

Chat protocols send the whole conversation every time. Only the user's own turns are read, and those before the last one only
to understand a follow-up; what is too long or no text there is cut off or passed over, never an error. Of the assistant's
turns one thing is read: whether the last of them was the emergency card.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from pydantic import JsonValue

from corpus.text import has_lone_surrogates
from qa.answerer import DEFAULT_TOP_K, MAX_QUESTION
from qa.flags import load_rules
from web.asking import Asked
from web.problem import Problem
from web.side_prompts import unwrapped

MAX_HISTORY = 20
USER, ASSISTANT = "user", "assistant"
# What a program says to the model before the user does.
PROGRAM = ("system", "developer")
# How the API's description says that a text is not blank: what is left when Python strips it, in JSON Schema's white space.
IN_WORDS: dict[str, JsonValue] = {"type": "string", "pattern": r"[^\s\x1c-\x1f\x85]"}
NOTHING_ASKED = "There is no question: no message of the user's holds text."


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said; ``role`` is ``user``, ``assistant``, ``system`` or another that is not read."""

    role: str
    text: str


def asked_from(turns: Sequence[Turn], *, top_k: int = DEFAULT_TOP_K, after_alert: bool = False) -> Asked:
    """Return the question of a conversation; raise Problem 422 where the user said nothing in words.

    Who asks the very same again right after the card has seen it, and gets what the passages say beside it.
    """
    said = [(place, unwrapped(turn.text)) for place, turn in enumerate(turns) if turn.role == USER and turn.text.strip()]
    if not said:
        raise Problem(422, "Invalid request", NOTHING_ASKED)
    place, question = said[-1]
    before = [text[:MAX_QUESTION] for _, text in said[:-1] if text.strip() and not has_lone_surrogates(text)]
    repeated = len(said) > 1 and _plain(said[-2][1]) == _plain(question)
    seen = repeated and any(_is_card(turn) for turn in turns[said[-2][0] + 1 : place])
    return Asked(question, tuple(before[-MAX_HISTORY:]), top_k, after_alert or seen)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _is_card(turn: Turn) -> bool:
    return turn.role == ASSISTANT and turn.text.lstrip().startswith(_card_titles())


@cache
def _card_titles() -> tuple[str, ...]:
    return tuple({family.alert.title for family in load_rules().families})
