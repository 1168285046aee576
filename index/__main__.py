"""python -m index build | info | verify | rollback: make an index and look after it."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from index.environment import prepare_libraries

if __name__ == "__main__":
    prepare_libraries()  # before anything below is imported

from corpus.readers.source import SourceError
from index.build import BuildError, Report, build_index, check_sources, collect, require_target
from index.encoder import EncoderError, cores
from index.lexical import LexicalError
from index.models import DEFAULT_MODEL, ModelError, encoder_source
from index.progress import ProgressBar
from index.storage import StorageError, current_generation, read_manifest, rollback
from index.verify import verify_index
from index.workers import WorkerError

SHOWN_TEXT = 70


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed or damaged, 130 stopped by Ctrl-C."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except (SourceError, BuildError, StorageError, EncoderError, ModelError, LexicalError, WorkerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the index is as it was before, and the next build goes on from here", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m index", description="Build a citewell index and look after it.")
    commands = parser.add_subparsers(required=True, metavar="build | info | verify | rollback")
    build = commands.add_parser("build", help="read sources and publish a new generation")
    build.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help=".txt .md .jsonl .csv .tsv, or a folder")
    build.add_argument("--out", type=Path, required=True, metavar="DIR", help="the index's folder")
    build.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME_OR_PATH", help="hub name or local folder")
    build.add_argument("--workers", type=int, metavar="N", help="encoder processes, default: one for each core")
    build.add_argument("--json", action="store_true", help="print the report as JSON")
    build.set_defaults(command=_build)
    for name, command, text in (
        ("info", _info, "say what the live generation is"),
        ("verify", _verify, "prove every checksum, passage, offset and word"),
        ("rollback", _rollback, "go back to the generation before"),
    ):
        sub = commands.add_parser(name, help=text)
        sub.add_argument("index", type=Path, metavar="DIR")
        sub.add_argument("--json", action="store_true", help="print JSON")
        sub.set_defaults(command=command)
        if command is _verify:
            sub.add_argument("--source", nargs="+", type=Path, default=[], metavar="SOURCE", help="what it was built from")
    return parser


def _build(options: argparse.Namespace) -> int:
    require_target(options.out, options.sources)
    source = encoder_source(options.model, options.out)
    with closing(ProgressBar("passages to vectors")) as bar:
        report = build_index(collect(options.sources), options.out, source, bar.show, workers=options.workers or cores())
    for item in report.unreadable:
        print(f"warning: {item.source}: {item.reason}", file=sys.stderr)
    print(json.dumps(asdict(report), ensure_ascii=False) if options.json else _describe(report, options.out))
    return 0


def _describe(report: Report, out: Path) -> str:
    lines = [f"{report.passages} passages in {report.chunks} chunks, {report.seconds:.1f} s, published in {out}"]
    if report.resumed:
        lines.append(f"{report.resumed} of {report.shards} shards were those of an interrupted build")
    if report.rejected:
        lines.append(f"{len(report.rejected)} rejected:")
    for item in report.rejected:
        text = item.text.replace("\n", " ")
        shown = text if len(text) <= SHOWN_TEXT else text[:SHOWN_TEXT] + " ..."
        lines.append(f"  {item.reason:<11} {item.source}:{item.start}-{item.end}  {shown}")
    if report.unreadable:
        lines.append(f"{len(report.unreadable)} could not be read, see the warnings above")
    return "\n".join(lines)


def _info(options: argparse.Namespace) -> int:
    folder = current_generation(options.index)
    record = read_manifest(folder).record()
    if options.json:
        print(json.dumps(record, ensure_ascii=False))
        return 0
    encoder, counts = record["encoder"], record["counts"]
    size = sum(fact["bytes"] for fact in record["files"].values())
    served = f"onnxruntime, queries in {record['query_precision']}"
    if encoder["runtime"] != "onnx":
        served = f"sentence-transformers itself, because {encoder['why_not_onnx']}"
    rejected = ", ".join(f"{count} {reason}" for reason, count in counts["rejected"].items()) or "none"
    print(f"generation  {record['generation']} of {record['created']}, format {record['format']}")
    print(f"corpus      {counts['documents']} documents, {counts['passages']} passages, {counts['chunks']} chunks")
    print(f"left out    {rejected}; {counts['unreadable']} unreadable; {counts['truncated_chunks']} chunks cut short")
    print(f"encoder     {encoder['name']} ({encoder['revision']}), {encoder['dim']} components")
    print(f"checksum    {encoder['checksum']}")
    print(f"served by   {served}")
    print(f"chunking    at most {record['chunking']['max_tokens']} tokens")
    print(f"search      {_searched(record['dense'])}")
    print(f"size        {size / 1e6:.1f} MB in {len(record['files'])} files")
    return 0


def _searched(dense: dict[str, Any]) -> str:
    if dense["kind"] == "exact":
        return "exact"
    parameters = ", ".join(f"{name} {value}" for name, value in dense["parameters"].items())
    return f"{dense['kind']} ({parameters}), recall@10 {dense['recall_at_10']:.3f} on {dense['measured_on']}"


def _verify(options: argparse.Namespace) -> int:
    problems = verify_index(options.index)
    if options.source and not problems:
        problems = check_sources(options.index, options.source)
    if options.json:
        print(json.dumps({"ok": not problems, "problems": problems}, ensure_ascii=False))
    else:
        sources = "; every field is the sources'" if options.source else ""
        print("\n".join(problems) or f"{options.index}: every checksum, passage, offset and word holds{sources}")
    return 1 if problems else 0


def _rollback(options: argparse.Namespace) -> int:
    generation = rollback(options.index)
    print(json.dumps({"generation": generation}) if options.json else f"{options.index} is back at {generation}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
