"""An environment for each peer, made once from its pinned requirements and made anew when they change."""

import hashlib
import importlib.metadata
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PEERS = ("plain", "txtai", "langchain", "llamaindex", "haystack")
REQUIREMENTS = Path(__file__).parent / "peers" / "requirements"
STAMP = ".requirements.sha256"
# What a table calls each system, and the packages whose versions it names.
LABELS = {
    "citewell": "citewell",
    "plain": "sentence-transformers + FAISS",
    "txtai": "txtai, hybrid",
    "langchain": "LangChain + FAISS",
    "llamaindex": "LlamaIndex + FAISS",
    "haystack": "Haystack, hybrid",
}
NAMED = {
    "citewell": ("onnxruntime", "numpy"),
    "plain": ("sentence-transformers", "faiss-cpu", "torch", "transformers", "fastapi"),
    "txtai": ("txtai", "faiss-cpu", "torch"),
    "langchain": ("langchain", "langchain-community", "langchain-huggingface", "sentence-transformers", "faiss-cpu"),
    "llamaindex": ("llama-index-core", "llama-index-vector-stores-faiss", "sentence-transformers", "faiss-cpu"),
    "haystack": ("haystack-ai", "sentence-transformers-haystack", "sentence-transformers", "torch"),
}


@dataclass(frozen=True, slots=True)
class Environment:
    """A system's Python, or why there is none; ``versions`` are those of the packages a table names."""

    name: str
    python: Path | None
    why_not: str
    versions: dict[str, str]


def own_environment() -> Environment:
    """Return the environment this runs in, as citewell's."""
    versions = {package: importlib.metadata.version(package) for package in NAMED["citewell"]}
    return Environment("citewell", Path(sys.executable), "", versions)


def prepare(name: str, folder: Path) -> Environment:
    """Return a peer's environment, made in ``folder`` first unless it is there as its requirements say."""
    requirements = REQUIREMENTS / f"{name}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    python, stamp = folder / "bin" / "python", folder / STAMP
    if not (python.exists() and stamp.exists() and stamp.read_text() == digest):
        print(f"making {folder} (downloads packages the first time)", flush=True)
        why_not = _make(folder, python, requirements)
        if why_not:
            return Environment(name, None, why_not, {})
        stamp.write_text(digest)
    pins = read_pins(requirements.read_text(encoding="utf-8"))
    return Environment(name, python, "", {package: pins[package] for package in NAMED[name]})


def read_pins(text: str) -> dict[str, str]:
    """Return the versions that a requirements file pins."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return {name: version for name, _, version in (line.partition("==") for line in lines if line)}


def _make(folder: Path, python: Path, requirements: Path) -> str:
    """Make an environment; return why that failed, or nothing."""
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)]
    for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], install):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr.strip()[-300:]]
            return f"its environment cannot be made: {lines[-1]}"
    return ""
