"""The direction of imports: corpus <- index <- qa <- web <- server; evaluate takes all but web and server."""

import ast
from pathlib import Path

import pytest

from tests.conftest import PROJECT, run_command

OWN = ("corpus", "index", "qa", "web", "server", "evaluation", "evaluate")
ALLOWED = {
    "corpus": {"corpus"},
    "index": {"corpus", "index"},
    "qa": {"corpus", "index", "qa"},
    "web": {"corpus", "index", "qa", "web"},
    "server": {"corpus", "index", "qa", "web"},
    "evaluation": {"corpus", "index", "qa", "evaluation"},
    "evaluate": {"corpus", "index", "qa", "evaluation"},
}
# Each library that one room alone knows.
ONLY_IN = {
    "faiss": {"index/dense.py"},
    "Stemmer": {"index/lexical.py", "index/postings.py"},
    "orjson": {"index/passages.py", "web"},
    "torch": {"index/export.py"},
    "sentence_transformers": {"index/export.py"},
    "onnxruntime": {"index/encoder.py", "index/graphs.py"},
    "onnx": {"index/graphs.py"},
    "fastapi": {"web", "server.py"},
    "prometheus_client": {"web/metrics.py"},
    "pythonjsonlogger": {"web/logs.py"},
    "ir_measures": {"evaluate.py"},
    "rapidfuzz": {"index/nearness.py", "index/spelling.py"},
    "sklearn": {"evaluation/abstention.py"},
    "mcp": {"web/mcp_tools.py"},
    "mcp_types": {"web/mcp_tools.py"},
}
FILES = [PROJECT / "server.py", PROJECT / "evaluate.py"]
MODULES = [*sorted(path for name in OWN for path in (PROJECT / name).rglob("*.py")), *FILES]


def imported(path: Path) -> set[str]:
    """Return the top-level names that a module imports anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names.add((node.module or "").partition(".")[0])
    return names


def room(path: Path) -> str:
    return path.relative_to(PROJECT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_imports_point_one_way(path: Path) -> None:
    assert imported(path) & set(OWN) <= ALLOWED[room(path)]


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_known_in_one_place(library: str) -> None:
    users = {path.relative_to(PROJECT).as_posix() for path in MODULES if library in imported(path)}
    assert users
    assert all(user in ONLY_IN[library] or user.partition("/")[0] in ONLY_IN[library] for user in users), users


def test_answering_never_imports_torch(starter_path: Path) -> None:
    code = (
        "import sys; from qa.__main__ import main; "
        f"code = main(['why does my hip hurt when I run?', '--index', {str(starter_path)!r}]); "
        "heavy = {'torch', 'sentence_transformers', 'transformers', 'onnx'} & set(sys.modules); "
        "print('HEAVY', sorted(heavy)); sys.exit(code)"
    )
    done = run_command("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("HEAVY []")


def test_serving_never_imports_torch(starter_path: Path) -> None:
    code = (
        "import pathlib, sys, time; from server import Settings, application; from fastapi.testclient import TestClient\n"
        f"with TestClient(application(pathlib.Path({str(starter_path)!r}), Settings())) as client:\n"
        "    while client.get('/ready').status_code != 200: time.sleep(0.05)\n"
        "    assert client.post('/v1/ask', json={'question': 'what is sciatica?'}).status_code == 200\n"
        "print('HEAVY', sorted({'torch', 'sentence_transformers', 'transformers'} & set(sys.modules)))"
    )
    done = run_command("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("HEAVY []")


def test_the_protocols_library_is_imported_by_who_speaks_the_protocol(starter_path: Path) -> None:
    """It takes half a second and some 26 MB, which neither the start nor any other route pays."""
    code = (
        "import pathlib, sys, time; from server import Settings, application; from fastapi.testclient import TestClient\n"
        f"with TestClient(application(pathlib.Path({str(starter_path)!r}), Settings())) as client:\n"
        "    while client.get('/ready').status_code != 200: time.sleep(0.05)\n"
        "    question, said = 'what is sciatica?', {'role': 'user', 'content': 'what is sciatica?'}\n"
        "    assert client.post('/v1/ask', json={'question': question}).status_code == 200\n"
        "    assert client.post('/v1/chat/completions', json={'messages': [said]}).status_code == 200\n"
        "    print('BEFORE', sorted({'mcp', 'mcp_types'} & set(sys.modules)))\n"
        "    message = {'jsonrpc': '2.0', 'id': 1, 'method': 'tools/list'}\n"
        "    assert client.post('/mcp', json=message).json()['result']['tools']\n"
        "print('AFTER', sorted({'mcp', 'mcp_types'} & set(sys.modules)))"
    )
    done = run_command("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("BEFORE []\nAFTER ['mcp', 'mcp_types']")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, f"{node.name} is over 50 lines"
