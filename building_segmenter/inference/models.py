"""The model of a prediction, whoever made it: what it is, and the network to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from building_segmenter.errors import InvalidParameterError, ModelError
from building_segmenter.inference.network import Network, coarse_network, file_digest
from building_segmenter.inference.tiling import USUAL_OVERLAP
from building_segmenter.networks import safety
from building_segmenter.networks.facts import ModelFacts
from building_segmenter.networks.foreign.hdf5 import NOT_ELSEWHERE, SUFFIXES
from building_segmenter.networks.foreign.scaling import AS_THEY_ARE
from building_segmenter.networks.foreign.stated import refuse_stated, stated_in
from building_segmenter.networks.model_file import has_facts, read_facts
from building_segmenter.networks.shipped import default_model_path
from building_segmenter.tasks import SegmentationTask

if TYPE_CHECKING:
    from building_segmenter.networks.foreign.model import ForeignModel

_LARGEST_OVERLAP = 0.75


@dataclass(frozen=True)
class PredictionModel:
    """A model and how it is to be run.

    Args:
        facts: Of the model.
        network: To be compiled.
        overlap: Share of a tile that it has in common with the next.
    """

    facts: ModelFacts
    network: Network
    overlap: float


def model_of(options: SegmentationTask, dtypes: Sequence[str], log: Callable[[str], None]) -> PredictionModel:
    """Return the model that a task names.

    Args:
        options: Of the task.
        dtypes: Data type of each band of the image.
        log: Told what was taken of a model from elsewhere.

    Raises:
        InputNotFoundError: The file does not exist.
        ModelError: It is no segmentation model, or damaged.
        UnsafeModelError: It holds code, or reaches outside itself.
        InvalidParameterError: A fact of a model from elsewhere is missing, or a parameter contradicts the file.
    """
    source = options.model or str(default_model_path())
    suffix = safety.existing(source).suffix.lower()
    if suffix not in (".keras", ".onnx", *SUFFIXES):
        raise ModelError(f"The file {source} has the ending {suffix or '(none)'}, not that of a model.", NOT_ELSEWHERE)
    if suffix == ".keras" and has_facts(source):
        refuse_stated(stated_in(options), source)
        facts = read_facts(source)
        return PredictionModel(facts, coarse_network(source, facts), _overlap(options, None))
    found = _from_elsewhere(options, source, suffix)
    log(found.told)
    content = f"elsewhere {file_digest(source)} {stated_in(options)}"
    facts = _for_image(found, dtypes[_first_band(options, len(dtypes))], source)
    return PredictionModel(facts, Network(content, lambda core: found.graph), _overlap(options, found.overlap))


def _from_elsewhere(options: SegmentationTask, source: str, suffix: str) -> ForeignModel:
    # Models of ours are run without reading other formats, which takes a moment to start.
    from building_segmenter.networks.foreign.model import keras_model, onnx_model

    if suffix == ".onnx":
        return onnx_model(source, stated_in(options))
    return keras_model(source, stated_in(options), _to_graph)


def _to_graph(network: Any, tile_size: int, bands: int) -> Any:
    import openvino

    # Keras takes longer to start than all else; ONNX files do without it.
    from building_segmenter.inference.from_keras import as_openvino

    return as_openvino(openvino.Core(), network, 1, tile_size, tile_size, bands)


def _overlap(options: SegmentationTask, said: float | None) -> float:
    if options.overlap is not None:
        return options.overlap
    return USUAL_OVERLAP if said is None else min(said, _LARGEST_OVERLAP)


def _first_band(options: SegmentationTask, count: int) -> int:
    """Return the place of the first band that is read; numbers that are too high are told later."""
    return min(options.bands[0], count) - 1 if options.bands else 0


def _for_image(found: ForeignModel, dtype: str, source: str) -> ModelFacts:
    """Return facts with the data type that they lack.

    Raises:
        InvalidParameterError: The image has another one than the model, and no statistics to bring it to that.
    """
    facts = found.facts
    if facts.dtype == AS_THEY_ARE:
        return replace(facts, dtype=dtype)
    if facts.dtype != dtype and not found.statistics_known:
        raise InvalidParameterError(
            f"The image holds {dtype} and the model {source} takes {facts.dtype}; what values its training images had"
            " is not known.",
            "Convert the image to bytes as those were; or give MODEL_SCALING none with the MODEL_MEANS and"
            " MODEL_DEVIATIONS for the image's values; or, if the file takes scaled bytes, MODEL_SCALING unit with the"
            " MODEL_MEANS and MODEL_DEVIATIONS of the training images.",
        )
    return facts
