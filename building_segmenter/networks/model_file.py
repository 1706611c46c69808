"""The one-file model: a standard `.keras` archive that carries its facts.

Keras opens the file unchanged; other programs read the facts without Keras.
"""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from building_segmenter import scratch
from building_segmenter.errors import ModelError
from building_segmenter.networks import safety
from building_segmenter.networks.facts import ModelFacts, facts_to_item, item_to_facts
from building_segmenter.networks.foreign.hdf5 import SUFFIXES, check_hdf5

if TYPE_CHECKING:
    import keras

FACTS_ENTRY = "mlm.json"


def save_model(model: keras.Model, facts: ModelFacts, output: str | os.PathLike[str]) -> None:
    """Write a model and its facts into one file, which appears only when whole.

    Raises:
        OutputNotWritableError: The folder is missing or not writable.
        DiskFullError: The disk is full.
    """
    with scratch.new_output(output) as path:
        write_model(model, facts, path)


def write_model(model: keras.Model, facts: ModelFacts, path: Path) -> None:
    """Write a model and its facts to a path that already is a scratch file."""
    model.save(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(FACTS_ENTRY, json.dumps(facts_to_item(facts), indent=1, allow_nan=False))


def read_facts(path: str | os.PathLike[str]) -> ModelFacts:
    """Read the facts of a model without loading it.

    Raises:
        InputNotFoundError: The file does not exist.
        ModelError: It is no model file, or its facts are missing or incomplete.
        UnsafeModelError: Its archive is made to do harm.
    """
    with safety.open_archive(path) as archive:
        return _facts_of(archive, str(path))


def load_model(path: str | os.PathLike[str]) -> tuple[keras.Model, ModelFacts]:
    """Load a model and its facts; nothing in the file is run as code.

    Returns:
        The model, uncompiled, and its facts.

    Raises:
        InputNotFoundError: The file does not exist.
        ModelError: It is corrupt, no segmentation model, or its facts are missing or contradict it.
        UnsafeModelError: It holds code or foreign classes, or reaches outside itself.
    """
    with safety.open_archive(path) as archive:
        facts = _facts_of(archive, str(path))
        if facts.is_detector:
            raise ModelError(
                f"The model {path} finds objects one by one ({facts.architecture}); it gives no probability of each"
                " pixel.",
                "Use it in Detect buildings or Extract buildings, or choose a model of segmentation.",
            )
        safety.check_model(archive, str(path))
    model = _loaded(path)
    _check_segmentation(model, facts, str(path))
    return model, facts


def load_network(path: str | os.PathLike[str]) -> keras.Model:
    """Load a network of Keras from elsewhere, which has no facts; nothing in the file is run as code.

    Args:
        path: A `.keras` archive, or an HDF5 file (`.h5`) as Keras 2 wrote them.

    Raises:
        InputNotFoundError: The file does not exist.
        ModelError: It is corrupt, or of another version of Keras.
        UnsafeModelError: It holds code or foreign classes, or reaches outside itself.
    """
    if Path(path).suffix.lower() in SUFFIXES:
        check_hdf5(path)
    else:
        with safety.open_archive(path) as archive:
            safety.check_model(archive, str(path))
    return _loaded(path)


def has_facts(path: str | os.PathLike[str]) -> bool:
    """Tell whether a Keras archive has facts, without reading them."""
    with safety.open_archive(path) as archive:
        return FACTS_ENTRY in archive.namelist()


def _facts_of(archive: zipfile.ZipFile, source: str) -> ModelFacts:
    if FACTS_ENTRY not in archive.namelist():
        raise ModelError(
            f"The model {source} is a Keras file without facts ({FACTS_ENTRY}): its ground pixel, bands, scaling,"
            " tile size, classes and threshold are unknown.",
            "Use a model that Train model made.",
        )
    return item_to_facts(safety.read_json(archive, FACTS_ENTRY, source), source)


def _loaded(path: str | os.PathLike[str]) -> Any:
    # Whoever wants the facts only does without Keras, which takes longer to start than all else.
    import keras

    try:
        with safety.no_weights_left_out():
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"The model {path} cannot be loaded: {first_line}",
            "The file is damaged or was made by another version of Keras: copy it again, or train the model again.",
        ) from error


def _check_segmentation(model: Any, facts: ModelFacts, source: str) -> None:
    shape_in: Any = getattr(model, "input_shape", None)
    shape_out: Any = getattr(model, "output_shape", None)
    if not _is_image(shape_in) or not _is_image(shape_out):
        raise ModelError(
            f"The model {source} is not a segmentation model: it turns {shape_in} into {shape_out}, not an image"
            " into a plane of probabilities.",
            "Use a model that Train model made.",
        )
    if shape_in[-1] != len(facts.bands) or shape_out[-1] != len(facts.channels):
        raise ModelError(
            f"The model {source} contradicts its facts: it has {shape_in[-1]} bands and {shape_out[-1]} channels,"
            f" they say {len(facts.bands)} and {len(facts.channels)}.",
            "The file was changed after training: copy it again, or train the model again.",
        )


def _is_image(shape: Any) -> bool:
    return isinstance(shape, tuple) and len(shape) == 4 and shape[-1] is not None
