"""Follow-up questions: what to search for when a question leans on the one before it.

A question is taken as a follow-up when it opens like one ("what about ...", "and ...") or is short and points back with a
pronoun; it is then searched together with the question before. It is a first rule; it reads no answers and knows no topics.
"""

import re
from collections.abc import Sequence

_OPENING = re.compile(r"\s*(?:and|or|but|what about|how about|what if|why not|also|then)\b", re.IGNORECASE)
_POINTER = re.compile(r"\b(?:it|its|this|that|these|those|they|them|their|one|ones)\b", re.IGNORECASE)
# A question with more words than this says its subject itself.
SHORT_WORDS = 8


def is_follow_up(question: str) -> bool:
    """Say whether the question leans on an earlier one."""
    words = len(question.split())
    return words <= SHORT_WORDS and bool(_OPENING.match(question) or _POINTER.search(question))


def search_text(question: str, history: Sequence[str]) -> str:
    """Return the text to search for: the question, after the last question that stood by itself if it leans on one."""
    if not is_follow_up(question):
        return question
    earlier = next((past for past in reversed(history) if past.strip() and not is_follow_up(past)), "")
    return f"{earlier} {question}" if earlier else question
