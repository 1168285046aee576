"""Prompts of chat clients are told from people's questions, in both directions."""

import tomllib

import pytest

from tests.conftest import PROJECT
from web.side_prompts import is_side_prompt, is_side_task, unwrapped, wraps_question

DATA = tomllib.loads((PROJECT / "tests" / "data" / "side_prompts.toml").read_text(encoding="utf-8"))
SIDE_PROMPTS: dict[str, str] = DATA["side_prompts"]
QUESTIONS: list[str] = DATA["questions"]
TASKS = ("title_generation", "tags_generation", "emoji_generation", "query_generation", "follow_up_generation", "title")
PIECES = ("### Output\n", "<user_query>", "generate title ", "7-", "name chat a ", "<context>", "### Task:")


@pytest.mark.parametrize("name", SIDE_PROMPTS)
def test_prompts_of_chat_clients_are_recognised(name: str) -> None:
    assert is_side_prompt(SIDE_PROMPTS[name])
    assert is_side_prompt(f"\n {SIDE_PROMPTS[name]}")


@pytest.mark.parametrize("question", QUESTIONS)
def test_questions_of_people_are_not_swallowed(question: str) -> None:
    assert not is_side_prompt(question)
    assert unwrapped(question) == question


@pytest.mark.parametrize("name", SIDE_PROMPTS)
def test_a_question_that_goes_on_like_a_side_prompt_is_a_question(name: str) -> None:
    assert not is_side_prompt(f"my hip hurts. {SIDE_PROMPTS[name]}")


@pytest.mark.parametrize(
    "wrapped",
    [
        "### Task:\nRespond to the user query using the provided context.\n### Output:\nJSON is not wanted\n"
        "<context>\nsome document\n</context>\n\n<user_query>\nwhy does my hip hurt?\n</user_query>\n",
        "### Task:\nRespond to the user query using the provided context, incorporating inline citations.\n\n"
        '<context>\n<source id="1">a document</source>\n</context>\n\nwhy does my hip hurt?',
    ],
)
def test_a_question_wrapped_in_documents_is_still_asked(wrapped: str) -> None:
    assert wraps_question(wrapped)
    assert not is_side_prompt(wrapped)
    assert unwrapped(wrapped) == "why does my hip hurt?"


def test_a_wrapped_question_without_words_stays_as_it_is() -> None:
    assert unwrapped("### Task:\n<context></context>") == "### Task:\n<context></context>"


@pytest.mark.parametrize("name", TASKS)
def test_a_task_named_in_the_metadata_is_a_side_task(name: str) -> None:
    assert is_side_task(name)


@pytest.mark.parametrize("name", [None, "", "qa", "chat", "title of my pain", 7])
def test_other_metadata_is_not(name: object) -> None:
    assert not is_side_task(name)


@pytest.mark.parametrize("piece", PIECES)
def test_a_megabyte_of_one_piece_is_read(piece: str) -> None:
    """A rule that read on to the end from every piece would take hours."""
    for start in ("### Task:\n", ""):
        text = start + piece * (1_000_000 // len(piece))
        is_side_prompt(text)
        unwrapped(text)
