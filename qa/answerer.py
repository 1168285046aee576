"""A question to an Answer: triage first, then search, then the decision to answer or to abstain.

The order is fixed: red flags are read before and apart from retrieval, and nothing is composed. What each step decides by
is in triage.py, evidence.py and policy.py.
"""

import secrets
import time
from collections.abc import Sequence

from corpus.passage import Passage
from corpus.text import has_lone_surrogates
from index.local import LocalIndex
from qa.answer import Alert, Answer, Found, IndexRef, Quote, Reason, Status
from qa.conversation import search_text
from qa.evidence import quotes_from
from qa.policy import ABSTENTION, DISCLAIMER, Decision, decide
from qa.triage import triage

MAX_QUESTION = 2000
MAX_TOP_K = 20
DEFAULT_TOP_K = 3
# Hits looked at for each quote asked for: enough that repeats can be passed over.
HITS_PER_QUOTE = 4


class QuestionError(ValueError):
    """The question cannot be asked as it is; the message says why, without repeating it."""


class Answerer:
    """Answers questions from one index; safe to use from several threads at once."""

    def __init__(self, index: LocalIndex) -> None:
        self.index = index
        manifest = index.manifest
        self._reference = IndexRef(manifest.generation, str(manifest.encoder["name"]), index.passages)

    def ask(
        self, question: str, history: Sequence[str] = (), *, top_k: int = DEFAULT_TOP_K, after_alert: bool = False
    ) -> Answer:
        """Return the answer to a question of 1 to 2,000 characters; raise QuestionError for any other.

        ``history`` holds the earlier questions, oldest first. An emergency or crisis gives its card alone unless
        ``after_alert`` says that the reader has seen it.
        """
        begun = time.perf_counter()
        check_question(question)
        check_top_k(top_k)
        alert = triage(question)
        if alert is not None and alert.level != "urgent" and not after_alert:
            return self._answer(begun, "alert", alert=alert)
        searched = search_text(question, history)
        hits = self.index.search(searched, top_k * HITS_PER_QUOTE)
        decision = decide(searched, hits)
        if decision.reason is not None:
            return self._answer(begun, "abstained", decision=decision, alert=alert)
        quotes = tuple(quote for _, quote in quotes_from(hits, top_k))
        return self._answer(begun, "answered", quotes, decision=decision, alert=alert)

    def search(self, question: str, *, top_k: int = 10) -> tuple[Found, ...]:
        """Return the best passages for a question with how they were found, without triage and without judgment."""
        check_question(question)
        check_top_k(top_k)
        pairs = quotes_from(self.index.search(question, top_k * HITS_PER_QUOTE), top_k)
        return tuple(
            Found(quote, hit.dense_rank, hit.lexical_rank, round(hit.similarity, 4), round(hit.lexical, 4))
            for hit, quote in pairs
        )

    @property
    def reference(self) -> IndexRef:
        """Which index answers."""
        return self._reference

    def passage(self, passage_id: str) -> Passage | None:
        """Return the passage with the given id, or None."""
        return self.index.passage(passage_id)

    def neighbours(self, passage: Passage) -> tuple[Passage | None, Passage | None]:
        """Return the passages before and after this one in its document, None at an end."""
        return self.index.neighbours(passage)

    def _answer(
        self,
        begun: float,
        status: Status,
        quotes: tuple[Quote, ...] = (),
        *,
        decision: Decision | None = None,
        alert: Alert | None = None,
    ) -> Answer:
        reason: Reason | None = decision.reason if decision else None
        return Answer(
            id=secrets.token_hex(8),
            status=status,
            reason=reason,
            message=ABSTENTION[reason] if reason else None,
            confidence=decision.confidence if decision else 0.0,
            quotes=quotes,
            disclaimer=DISCLAIMER,
            alert=alert,
            index=self._reference,
            took_ms=round((time.perf_counter() - begun) * 1000, 2),
        )


def check_question(question: object) -> None:
    """Raise QuestionError unless the question is text of 1 to 2,000 characters that is not blank."""
    if not isinstance(question, str):
        raise QuestionError(f"The question must be text, not {type(question).__name__}.")
    if not question.strip():
        raise QuestionError("The question is empty. Ask in a few plain words.")
    if len(question) > MAX_QUESTION:
        raise QuestionError(f"The question has {len(question):,} characters; at most {MAX_QUESTION:,} are read.")
    if has_lone_surrogates(question):
        raise QuestionError("The question holds characters that are not valid text (lone surrogates).")


def check_top_k(top_k: int) -> None:
    """Raise QuestionError unless between 1 and 20 quotes are asked for."""
    if not 1 <= top_k <= MAX_TOP_K:
        raise QuestionError(f"The number of quotes (top_k) is {top_k}; it must be 1 to {MAX_TOP_K}.")
