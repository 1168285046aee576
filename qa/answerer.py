"""A question to an Answer: triage first, then search, then the decision to answer or to abstain.

The order is fixed: red flags are read before and apart from retrieval, and nothing is composed. What each step decides by
is in triage.py, evidence.py and policy.py.
"""

import secrets
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from corpus.passage import Passage
from corpus.text import has_lone_surrogates
from index.confidence import Calibration
from index.facets import EVERYTHING, Filters
from index.local import LocalIndex
from index.ranking import Ranking
from index.storage import StorageError
from index.wording import Wording
from qa.answer import Alert, Answer, Found, IndexRef
from qa.conversation import resolve
from qa.evidence import quotes_from
from qa.policy import ABSTENTION, ACCEPTED_WRONG, ADVICE, DISCLAIMER, Policy, PolicyError
from qa.suggestions import suggestions_from, topics_from
from qa.triage import triage

MAX_QUESTION = 2000
MAX_TOP_K = 20
MAX_FILTER_VALUES = 20
DEFAULT_TOP_K = 3
# Hits looked at for each quote asked for: enough that repeats can be passed over.
HITS_PER_QUOTE = 4
# Hits that the strength of the evidence is read from, and those near enough to suggest something else to ask.
JUDGED_HITS = 60
NEAR_HITS = 20


class QuestionError(ValueError):
    """The question cannot be asked as it is; the message says why, without repeating it."""


class Answerer:
    """Answers questions from one index; safe to use from several threads at once."""

    def __init__(self, index: LocalIndex, *, accepted_wrong: float = ACCEPTED_WRONG) -> None:
        self.index = index
        try:
            self.policy = Policy(Calibration.load(index.folder), accepted_wrong)
        except PolicyError:
            raise
        except ValueError as error:
            raise StorageError(f"{error}; build the index again") from error
        manifest = index.manifest
        self._reference = IndexRef(manifest.generation, str(manifest.encoder["name"]), index.passages)

    def ask(
        self,
        question: str,
        history: Sequence[str] = (),
        *,
        top_k: int = DEFAULT_TOP_K,
        after_alert: bool = False,
        filters: Filters = EVERYTHING,
    ) -> Answer:
        """Return the answer to a question of 1 to 2,000 characters; raise QuestionError for any other.

        ``history`` holds the earlier questions, oldest first. An emergency or crisis gives its card alone unless
        ``after_alert`` says that the reader has seen it. Quotes, suggestions and topics are of the passages that ``filters``
        allow; triage and the reading of follow-ups don't depend on them.
        """
        begun = time.perf_counter()
        check_question(question)
        check_history(history)
        check_top_k(top_k)
        check_filters(filters)
        alert = triage(question)
        answer = self._blank(alert)
        if alert is None or alert.level == "urgent" or after_alert:
            answer = self._found(answer, question, *self._search(question, history, top_k, filters=filters), top_k=top_k)
        return replace(answer, took_ms=round((time.perf_counter() - begun) * 1000, 2))

    def _found(self, blank: Answer, question: str, wording: Wording, ranking: Ranking, *, top_k: int) -> Answer:
        """Return the blank answer filled with quotes, or with why there are none."""
        decision = self.policy.decide(ranking, understood=self.index.understands(question))
        near = ranking.hits[:NEAR_HITS]
        quotes = tuple(q for _, q in quotes_from(self.index, ranking, top_k)) if decision.reason is None else ()
        said = wording.searched_as or wording.question
        filled = replace(
            blank,
            status="answered",
            confidence=decision.confidence,
            searched_as=said if said != unicodedata.normalize("NFKC", question) else None,
            quotes=quotes,
            suggestions=suggestions_from(near, quotes, question),
        )
        if decision.reason is None:
            return filled
        message, advice = ABSTENTION[decision.reason], ADVICE[decision.reason]
        reason, topics = decision.reason, topics_from(near)
        return replace(filled, status="abstained", reason=reason, message=message, advice=advice, topics=topics)

    def _search(self, question: str, history: Sequence[str], top_k: int, *, filters: Filters) -> tuple[Wording, Ranking]:
        """Resolve a follow-up, put its wording right, and search; a text is searched once however often it is weighed.

        With filters the same is then searched for among the passages allowed.
        """
        depth = max(JUDGED_HITS, top_k * HITS_PER_QUOTE)
        searched: dict[str, tuple[Wording, Ranking]] = {}

        def search(text: str) -> tuple[Wording, Ranking]:
            if text not in searched:
                wording = self.index.reword(text)
                searched[text] = (wording, self.index.search(wording, depth))
            return searched[text]

        def similarity(text: str) -> float:
            hits = search(text)[1].hits
            return hits[0].similarity if hits else 0.0

        wording, ranking = search(resolve(question, history, similarity).text if history else question)
        if filters.given:
            ranking = replace(self.index.search(wording, depth, filters=filters), everywhere=ranking.hits)
        return wording, ranking

    def search(self, question: str, *, top_k: int = 10, filters: Filters = EVERYTHING) -> tuple[Found, ...]:
        """Return the best passages allowed for a question with how they were found, without triage and without judgment."""
        check_question(question)
        check_top_k(top_k)
        check_filters(filters)
        ranking = self.index.search(self.index.reword(question), top_k * HITS_PER_QUOTE, filters=filters)
        pairs = quotes_from(self.index, ranking, top_k)
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

    def _blank(self, alert: Alert | None) -> Answer:
        """Return the answer that is nothing but its alert."""
        return Answer(
            id=secrets.token_hex(8),
            status="alert",
            reason=None,
            message=None,
            advice=None,
            confidence=0.0,
            searched_as=None,
            quotes=(),
            topics=(),
            suggestions=(),
            disclaimer=DISCLAIMER,
            alert=alert,
            index=self._reference,
            took_ms=0.0,
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


def check_history(history: Sequence[str]) -> None:
    """Raise QuestionError unless every earlier question is text."""
    if any(not isinstance(text, str) for text in history):
        raise QuestionError("The earlier questions must be text.")


def check_top_k(top_k: int) -> None:
    """Raise QuestionError unless between 1 and 20 quotes are asked for."""
    if not 1 <= top_k <= MAX_TOP_K:
        raise QuestionError(f"The number of quotes (top_k) is {top_k}; it must be 1 to {MAX_TOP_K}.")


def check_filters(filters: Filters) -> None:
    """Raise QuestionError where a filter names more than 20 values of one field, or what is no text."""
    for name, values in filters.given.items():
        if len(values) > MAX_FILTER_VALUES:
            raise QuestionError(f"The filter names {len(values)} values of {name}; at most {MAX_FILTER_VALUES} are read.")
        if any(has_lone_surrogates(value) for value in values):
            raise QuestionError(f"A filter's {name} holds characters that are not valid text (lone surrogates).")
