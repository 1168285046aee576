"""python -m qa "QUESTION": ask the index from a terminal; the same JSON as POST /v1/ask with --json."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from index.environment import prepare_libraries

if __name__ == "__main__":
    prepare_libraries()  # before anything below is imported

from index.facets import FIELDS, Filters
from index.local import LocalIndex
from index.storage import StorageError
from qa.answer import Alert, Answer, Quote
from qa.answerer import DEFAULT_TOP_K, Answerer, QuestionError
from qa.policy import ACCEPTED_WRONG, PolicyError
from qa.starter import STARTER_INDEX, ensure_starter_index

BOLD, PLAIN = "\x1b[1m", "\x1b[0m"


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask one question and return the exit code: 0 for any answer, an abstention too, 1 for an error."""
    options = _parser().parse_args(arguments)
    try:
        if options.index is None:
            ensure_starter_index()
        answerer = Answerer(LocalIndex.open(options.index or STARTER_INDEX), accepted_wrong=options.accepted_wrong)
        answer = answerer.ask(
            options.question,
            options.history,
            top_k=options.top_k,
            after_alert=options.after_alert,
            filters=filters_from(options.filter),
        )
    except (StorageError, QuestionError, PolicyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    shown = json.dumps(answer.record(), ensure_ascii=False) if options.json else render(answer, bold=sys.stdout.isatty())
    with suppress(BrokenPipeError):  # the reader (head, less) has seen enough
        print(shown, flush=True)
        return 0
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m qa", description="Ask a question; get verbatim, cited passages.")
    parser.add_argument("question", metavar="QUESTION")
    parser.add_argument("--index", type=Path, metavar="DIR", help="default: the starter index, built first if missing")
    parser.add_argument("--top-k", type=int, default=DEFAULT_TOP_K, metavar="N", help="how many quotes at most")
    parser.add_argument(
        "--accepted-wrong", type=float, default=ACCEPTED_WRONG, metavar="RATE", help="share of unanswerable questions answered"
    )
    parser.add_argument("--history", action="append", default=[], metavar="QUESTION", help="an earlier question, oldest first")
    parser.add_argument("--after-alert", action="store_true", help="show quotes after an emergency card as well")
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help=f"quote only such passages; several values of a field: any of them; fields: {', '.join(FIELDS)}",
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    return parser


def filters_from(pairs: Sequence[str]) -> Filters:
    """Return the filters of arguments FIELD=VALUE; raise QuestionError for one that is none."""
    found: dict[str, tuple[str, ...]] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or name not in FIELDS:
            raise QuestionError(f"--filter takes FIELD=VALUE; the fields are {', '.join(FIELDS)}.")
        found[name] = (*found.get(name, ()), value)
    return Filters(**found)


def render(answer: Answer, *, bold: bool) -> str:
    """Return the answer as text for a terminal; with ``bold`` the highlighted sentences stand out by an escape code."""
    blocks = [_alert(answer.alert)] if answer.alert else []
    if answer.searched_as:
        blocks.append(f"(also searched for: {answer.searched_as})")
    if answer.message:
        blocks.append(f"{answer.message}\n{answer.advice}")
    if answer.topics:
        blocks.append("\n".join(["Nearest topics covered here:", *(f"  - {topic}" for topic in answer.topics)]))
    blocks.extend(_quote(quote, bold=bold) for quote in answer.quotes)
    if answer.suggestions:
        blocks.append("\n".join(["Answered here as well:", *(f"  - {heading}" for heading in answer.suggestions)]))
    blocks.append(answer.disclaimer.text)
    return "\n\n".join(blocks)


def _alert(alert: Alert) -> str:
    actions = "\n".join(f"  - {action}" for action in alert.actions)
    source = f"Source: {alert.source.title}, {alert.source.publisher}, {alert.source.url}"
    return f"*** {alert.title} ***\n{alert.message}\n{actions}\n{source}"


def _quote(quote: Quote, *, bold: bool) -> str:
    citation = quote.citation
    text, at = "", 0
    for span in quote.highlights:
        marked = quote.text[span.start : span.end]
        text += quote.text[at : span.start] + (f"{BOLD}{marked}{PLAIN}" if bold else marked)
        at = span.end
    text += quote.text[at:]
    about = ", ".join(part for part in (citation.title, citation.heading, citation.publisher, citation.reviewed) if part)
    lines = [
        f"[{citation.number}] {text}",
        f"    cited from: {about or citation.source} ({citation.source}, passage {citation.passage_id}, "
        f"characters {citation.start}-{citation.end})",
        *(f"    reference: {_reference(r.title, r.publisher, r.url)}" for r in citation.references),
    ]
    return "\n".join(lines)


def _reference(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


if __name__ == "__main__":
    sys.exit(main())
