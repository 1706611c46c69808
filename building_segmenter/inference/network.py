"""A network before it runs anywhere: what names it, and how it is made when no cache has it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from building_segmenter.networks.facts import ModelFacts


@dataclass(frozen=True)
class Network:
    """A network for tiles of one size, or a part of one, of any origin, that is made only when it is needed.

    Args:
        content: Names what the network computes: networks of equal names are taken for each other. It holds a digest
            of the file that the network comes from (`file_digest`) and all else that `build` depends on, such as the
            size of a tile; not versions of programs, nor devices, which the runtime adds.
        build: Returns an `openvino.Model`, given a `openvino.Core`: one input, float32 (1, tile, tile, bands), in the
            values of images that the model knows, and one output: float32 (1, tile, tile, channels) of
            probabilities, or, f times as coarse, (1, tile / f, tile / f, channels) of the logits that interpolation
            between the centres of such cells and the model's activation make probabilities of. A network that has
            its channels first, or other values, gets them by layers of its own, as
            `openvino.preprocess.PrePostProcessor` puts before and after it. What it raises goes to the user. Parts of
            a detector have shapes of their own.
    """

    content: str
    build: Callable[[Any], Any]


@dataclass(frozen=True)
class Weights:
    """Weights of a network that are used outside of it, read only when no cache has them.

    Args:
        content: Names them; see `Network`.
        read: Returns float32 arrays by their names. What it raises goes to the user.
    """

    content: str
    read: Callable[[], dict[str, NDArray[np.float32]]]


def keras_network(path: str | os.PathLike[str], facts: ModelFacts) -> Network:
    """Return the network of a model file of ours; the file is read for its digest only, until the network is built.

    Building raises what `networks.model_file.load_model` does.
    """
    return _of_keras(path, facts, "whole")


def coarse_network(path: str | os.PathLike[str], facts: ModelFacts) -> Network:
    """Return the same network without the upsampling and activation at its end (`networks.ending`), if it has them.

    Building raises what `networks.model_file.load_model` does.
    """
    return _of_keras(path, facts, "coarse")


def _of_keras(path: str | os.PathLike[str], facts: ModelFacts, part: Literal["whole", "coarse"]) -> Network:
    def build(core: Any) -> Any:
        # Keras takes longer to start than all else, and a network from the cache does without it.
        from building_segmenter.inference.from_keras import as_openvino
        from building_segmenter.networks.ending import before_upsampling
        from building_segmenter.networks.model_file import load_model

        model, _ = load_model(path)
        network = before_upsampling(model) if part == "coarse" else model
        return as_openvino(core, network, 1, facts.tile_size, facts.tile_size, len(facts.bands))

    return Network(f"keras {file_digest(path)} {part} {facts.tile_size} px {len(facts.bands)} bands", build)


def fed_bytes(network: Network) -> Network:
    """Return the same network for tiles of uint8 values, which it makes into numbers itself, for less than NumPy takes.

    The probabilities are the same to the byte.
    """

    def build(core: Any) -> Any:
        from openvino import Type
        from openvino.preprocess import PrePostProcessor

        steps = PrePostProcessor(network.build(core))
        steps.input().tensor().set_element_type(Type.u8)
        return steps.build()

    return Network(f"{network.content}, fed bytes", build)


def giving_planes(network: Network) -> Network:
    """Return the same network with its channels first in what it gives, float32 (1, channels, rows, columns).

    That is how OpenVINO computes, and how planes are worked on fastest.
    """

    def build(core: Any) -> Any:
        from openvino import Layout, Type
        from openvino.preprocess import PrePostProcessor

        steps = PrePostProcessor(network.build(core))
        steps.output().model().set_layout(Layout("NHWC"))
        steps.output().tensor().set_layout(Layout("NCHW")).set_element_type(Type.f32)
        return steps.build()

    return Network(f"{network.content}, giving planes", build)


def file_digest(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 digest of a file's content as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
