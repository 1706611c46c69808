"""A model from elsewhere as facts and a graph, from what its file and the user say."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from building_segmenter.errors import InvalidParameterError, ModelError
from building_segmenter.networks.facts import UNUSED_THRESHOLD, BandFacts, ModelFacts
from building_segmenter.networks.foreign import graph as graphs
from building_segmenter.networks.foreign.classes import Activation, Selection, activation_of, selection_of
from building_segmenter.networks.foreign.deepness import DeepnessFacts, read_deepness
from building_segmenter.networks.foreign.ending import ending_of
from building_segmenter.networks.foreign.onnx_file import metadata_of, own_facts, read_onnx
from building_segmenter.networks.foreign.planes import ImagePlane, image_plane, output_axis
from building_segmenter.networks.foreign.scaling import AS_THEY_ARE, Scaling, scaling_of
from building_segmenter.networks.foreign.stated import Stated, parameters_missing, refuse_stated
from building_segmenter.networks.onnx_export.deepness import score_names, value_range

_TILE_LIMITS = (16, 8192)
_USUAL_THRESHOLD = 0.5

ToGraph = Callable[[Any, int, int], Any]
"""Makes an `openvino.Model` of a Keras network, the side of a tile and the number of bands."""


@dataclass(frozen=True)
class ForeignModel:
    """A model from elsewhere, ready to run.

    Args:
        facts: Of it. Its data type is that of images which need no change, or `AS_THEY_ARE`.
        graph: An `openvino.Model` from pixel values (1, tile, tile, bands) to probabilities (1, tile, tile, channels).
        statistics_known: Whether the bands' means and deviations are those of the training images.
        overlap: Share of a tile that it has in common with the next, if the file says it.
        told: What was found out and taken, in words.
    """

    facts: ModelFacts
    graph: Any
    statistics_known: bool
    overlap: float | None
    told: str


def onnx_model(path: str | os.PathLike[str], stated: Stated) -> ForeignModel:
    """Return the model in an ONNX file: by our facts, else by those for Deepness and the parameters.

    Parameters go before the metadata for Deepness.

    Raises:
        InputNotFoundError: The file does not exist.
        ModelError: It is no segmentation model, or damaged.
        UnsafeModelError: It reaches for other files.
        InvalidParameterError: A fact is missing, or a parameter contradicts the file.
    """
    source = str(path)
    proto, data = read_onnx(path)
    metadata = metadata_of(proto)
    facts = own_facts(metadata, source)
    if facts is not None:
        refuse_stated(stated, source)
        return _own_export(facts, graphs.read_graph(data, source), source)
    deepness = read_deepness(metadata, source)
    graph = graphs.read_graph(data, source)
    plane = image_plane(graphs.shape_of(graph.inputs[0]), stated, source)
    said = _completed(stated, deepness, plane, source, as_bytes=graphs.takes_bytes(graph))
    graphs.for_one_tile(graph, plane, said.tile_size, source)
    return _joined(graph, plane, said, deepness or DeepnessFacts(), source)


def keras_model(path: str | os.PathLike[str], stated: Stated, to_graph: ToGraph) -> ForeignModel:
    """Return the model in a `.keras` file without facts, or in an `.h5` file; raises as `onnx_model`."""
    import keras

    from building_segmenter.networks.model_file import load_network

    source = str(path)
    network = load_network(path)
    graphs.check_one_plane(len(getattr(network, "inputs", ())), len(getattr(network, "outputs", ())), source)
    plane = image_plane(network.input_shape, stated, source)
    said = _completed(stated, None, plane, source)
    if plane.channels_first:
        image = keras.Input((None, None, plane.bands))
        network = keras.Model(image, network(keras.layers.Permute((3, 1, 2))(image)))
    try:
        graph = to_graph(network, said.tile_size, plane.bands)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        raise ModelError(
            f"The model {source} cannot be made ready for tiles of {said.tile_size} px: {graphs.words_of(error)}",
            "Give another MODEL_TILE_SIZE: one that it was trained with, or a multiple of 32.",
        ) from error
    return _joined(graph, ImagePlane(False, plane.bands, said.tile_size), said, DeepnessFacts(), source)


@dataclass(frozen=True)
class _Complete:
    """All that has to be known before a network is made ready for tiles."""

    gsd: float
    tile_size: int
    scaling: Scaling
    stated: Stated


def _completed(
    stated: Stated, deepness: DeepnessFacts | None, plane: ImagePlane, source: str, *, as_bytes: bool = False
) -> _Complete:
    said = deepness or DeepnessFacts()
    gsd = stated.gsd or said.gsd
    tile_size = plane.size or stated.tile_size or said.tile_size
    # Deepness divides all images by 255; a network of bytes can take them in one way only.
    scaling = stated.scaling or ("unit" if deepness and not as_bytes else "none" if as_bytes else None)
    missing = {
        name: what
        for name, value, what in (
            ("MODEL_GSD", gsd, "the ground pixel of the images that it was trained on"),
            ("MODEL_TILE_SIZE", tile_size, "the size of its tiles"),
            ("MODEL_SCALING", scaling, "how it wants values of pixels to be scaled"),
        )
        if value is None
    }
    if gsd is None or tile_size is None or scaling is None:
        raise parameters_missing(source, missing)
    _check_tile(tile_size, stated, source)
    if as_bytes and (scaling != "none" or stated.means or stated.deviations):
        raise InvalidParameterError(
            f"The model {source} takes values of pixels as bytes, which cannot be scaled before.",
            "Leave out MODEL_SCALING, MODEL_MEANS and MODEL_DEVIATIONS.",
        )
    means, deviations = stated.means, stated.deviations
    if stated.scaling is None and not as_bytes:
        means, deviations = means or said.means, deviations or said.deviations
    made = scaling_of(scaling, means, deviations, plane.bands, source)
    return _Complete(gsd, tile_size, dataclasses.replace(made, of_bytes=made.of_bytes or as_bytes), stated)


def _check_tile(tile_size: int, stated: Stated, source: str) -> None:
    if stated.tile_size is not None and stated.tile_size != tile_size:
        raise InvalidParameterError(
            f"MODEL_TILE_SIZE is {stated.tile_size}, but the model {source} takes tiles of {tile_size} px only.",
            "Leave it out.",
        )
    low, high = _TILE_LIMITS
    if not low <= tile_size <= high:
        raise ModelError(
            f"The model {source} takes tiles of {tile_size} px; {low} to {high} are possible.",
            "Export it with a larger or a free size.",
        )


def _joined(graph: Any, plane: ImagePlane, said: _Complete, deepness: DeepnessFacts, source: str) -> ForeignModel:
    result = graph.outputs[0]
    axis = _output_axis(graph, said.tile_size, source)
    channels = 1 if axis is None else int(graphs.shape_of(result)[axis] or 0)
    ending = ending_of(result.get_node(), axis)
    activation = activation_of(ending, channels, said.stated.output, source)
    selection = selection_of(channels, deepness.names, activation.exclusive, said.stated.wanted, source)
    ready = graphs.with_pixels(graph, plane, said.scaling, axis, activation, selection)
    facts = _facts(said, plane.bands, selection, deepness.threshold, source)
    told = (
        f"The model {Path(source).name} comes from elsewhere. Taken from its file and parameters: ground pixel"
        f" {said.gsd:g} m, tiles of {said.tile_size} px, {_plane_in_words(plane)}, {_scaling_in_words(said.scaling)};"
        f" {_output_in_words(activation, selection, channels)}; threshold {facts.threshold:g}."
    )
    return ForeignModel(facts, ready, said.scaling.statistics is not None, deepness.overlap, told)


def _output_axis(graph: Any, tile_size: int, source: str) -> int | None:
    result = graph.outputs[0]
    if not result.get_element_type().is_real():
        raise ModelError(
            f"The model {source} gives values of the type {graphs.element_type(result)}, the numbers of classes"
            " perhaps, but no probabilities.",
            "Export it without the choice of the most probable class (argmax).",
        )
    return output_axis(graphs.shape_of(result), tile_size, source)


def _facts(said: _Complete, bands: int, selection: Selection, threshold: float | None, source: str) -> ModelFacts:
    statistics = said.scaling.statistics or ((float("nan"), float("nan")),) * bands
    first = 1 if selection.exclusive else 0
    return ModelFacts(
        name=Path(source).stem,
        architecture="not stated",
        bands=tuple(BandFacts(str(number + 1), 0.0, 255.0, *statistics[number]) for number in range(bands)),
        dtype="uint8" if said.scaling.of_bytes else AS_THEY_ARE,
        scale=said.scaling.scale,
        offset=said.scaling.offset,
        gsd=said.gsd,
        tile_size=said.tile_size,
        channels=selection.names,
        classes=tuple({"value": number, "name": name} for number, name in enumerate(selection.names[first:], 1)),
        threshold=UNUSED_THRESHOLD if selection.exclusive else threshold or _USUAL_THRESHOLD,
        created="",
        activation="softmax" if selection.exclusive else "sigmoid",
    )


def _own_export(facts: ModelFacts, graph: Any, source: str) -> ForeignModel:
    names, bands = score_names(facts), len(facts.bands)
    plane = ImagePlane(True, bands, facts.tile_size)
    shapes = [graphs.shape_of(port) for port in (graph.inputs[0], graph.outputs[0])]
    if shapes != [plane.shape(facts.tile_size), [1, len(names), facts.tile_size, facts.tile_size]]:
        raise ModelError(
            f"The model {source} contradicts its facts: it turns {shapes[0]} into {shapes[1]}, they say {bands} bands,"
            f" {len(names)} channels and tiles of {facts.tile_size} px.",
            "The file was changed: export the model again.",
        )
    scaling = Scaling((1.0 / value_range(facts.dtype),) * bands, (0.0,) * bands, True)
    told = f"The model {Path(source).name} is an export of {facts.name}."
    if facts.is_multiclass:
        selection = Selection(tuple(range(len(names))), tuple(names), exclusive=True)
    else:
        selection = Selection((1,), facts.channels[:1])
        if len(facts.channels) > 1:
            told += " Exports do not tell where buildings touch: choose the .keras file to have those parted."
        facts = dataclasses.replace(facts, channels=facts.channels[:1])
    ready = graphs.with_pixels(graph, plane, scaling, 1, Activation(None, facts.is_multiclass), selection)
    return ForeignModel(facts, ready, True, None, told)


def _plane_in_words(plane: ImagePlane) -> str:
    return f"{plane.bands} bands (channels {'first' if plane.channels_first else 'last'})"


def _scaling_in_words(scaling: Scaling) -> str:
    if set(scaling.scale) == {1.0} and set(scaling.offset) == {0.0}:
        return "values as they are"
    return f"values times {_in_words(scaling.scale)} plus {_in_words(scaling.offset)}"


def _in_words(numbers: tuple[float, ...]) -> str:
    different = numbers if len(set(numbers)) > 1 else numbers[:1]
    return ", ".join(f"{number:.5g}" for number in different)


def _output_in_words(activation: Activation, selection: Selection, channels: int) -> str:
    what = "probabilities" if activation.function is None else f"logits ({activation.function})"
    wanted = ", ".join(selection.names)
    if channels == 1:
        return f"{what} of {wanted}"
    numbers = ", ".join(str(channel + 1) for channel in selection.channels)
    return f"{what} of {channels} classes, of which {numbers} ({wanted})"
