"""The networks of a Mask R-CNN as what OpenVINO runs: trunk, box head and mask head, each of one fixed shape.

Trunk and mask head are there twice: whole, and without their convolutions of 3 x 3 pixels behind the backbone, which
`running` does itself in 32 bits, with the weights that stand beside.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from building_segmenter.inference.network import Network, Weights, fed_bytes, file_digest
from building_segmenter.networks.mask_rcnn.config import Config

if TYPE_CHECKING:
    from building_segmenter.networks.mask_rcnn.network import Networks

PYRAMID = ("fpn_p2", "fpn_p3", "fpn_p4", "fpn_p5")
"""Convolutions of 3 x 3 pixels that end the feature pyramid, finest level first."""
PROPOSALS = ("rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred")
"""Convolutions of the region proposal network: one of 3 x 3 pixels, and two of one pixel on what it gives."""
MASK = tuple(f"mrcnn_mask_conv{number}" for number in range(1, 5))
"""Convolutions of 3 x 3 pixels that begin the mask head, with a batch norm and a ReLU behind each."""
MASKS_AT_ONCE = 16
"""Objects whose masks one request draws; the last of a tile is filled up."""


class Parts(NamedTuple):
    """Networks to be compiled.

    Args:
        trunk: (1, tile, tile, bands) of pixel values to P2, P3, P4 and P5, then of each of the five levels the logits
            (1, height, width, 2 x anchors) and deltas (1, height, width, 4 x anchors) of the region proposal network.
        box_head: (proposals, pool, pool, channels) to class probabilities and deltas.
        mask_head: (`MASKS_AT_ONCE`, pool, pool, channels) to masks.
        stem: As `trunk`, to what `PYRAMID` takes.
        mask_end: As `mask_head`, from what the last of `MASK` gives.
        weights: Kernel and bias of `PYRAMID`, `PROPOSALS` and `MASK`, the batch norms folded in: `NAME kernel` and
            `NAME bias`.
    """

    trunk: Network
    box_head: Network
    mask_head: Network
    stem: Network
    mask_end: Network
    weights: Weights

    def fed_bytes(self) -> Parts:
        """Return the same parts for tiles of uint8 values."""
        return self._replace(trunk=fed_bytes(self.trunk), stem=fed_bytes(self.stem))


def model_parts(path: str | os.PathLike[str], config: Config, tile_size: int) -> Parts:
    """Return the networks of a model file of ours; it is read for its digest only, until one of them is built.

    Building raises what `load_mask_rcnn` does.

    Args:
        path: The file.
        config: Of the model.
        tile_size: Side of a tile in pixels.
    """

    def load() -> Networks:
        # Keras takes longer to start than all else, and networks from the cache do without it.
        from building_segmenter.networks.mask_rcnn.model_file import load_mask_rcnn

        networks, _, _ = load_mask_rcnn(path)
        return networks

    return parts_of(load, file_digest(path), config, tile_size)


def parts_of(load: Callable[[], Networks], content: str, config: Config, tile_size: int) -> Parts:
    """Return networks that are loaded once, when the first of them is built.

    Args:
        load: Returns them.
        content: Names what they compute; see `Network`.
        config: Of the networks.
        tile_size: Side of a tile in pixels.
    """
    networks = _Once(load)
    bands, channels = config.IMAGE_CHANNEL_COUNT, config.TOP_DOWN_PYRAMID_SIZE
    proposals, box, mask = config.POST_NMS_ROIS_INFERENCE, config.POOL_SIZE, config.MASK_POOL_SIZE

    def of_images(core: Any, model: Any) -> Any:
        return _less_mean(_graph(core, model, 1, tile_size, tile_size, bands), config)

    def trunk(core: Any) -> Any:
        return of_images(core, _maps(networks.taken("trunk")))

    def stem(core: Any) -> Any:
        return of_images(core, _merged(networks.taken("trunk")))

    def box_head(core: Any) -> Any:
        import keras

        head = networks.taken("box_head")
        # Logits are for training.
        return _graph(core, keras.Model(head.inputs, head.outputs[1:]), proposals, box, box, channels)

    def mask_head(core: Any) -> Any:
        return _graph(core, networks.taken("mask_head"), MASKS_AT_ONCE, mask, mask, channels)

    def mask_end(core: Any) -> Any:
        end = _mask_end(networks.taken("mask_head"))
        return _graph(core, end, MASKS_AT_ONCE, *end.inputs[0].shape[1:])

    def weights() -> dict[str, NDArray[np.float32]]:
        return _weights(networks.whole())

    name = f"mask r-cnn {content}"
    return Parts(
        Network(f"{name} trunk {tile_size} px {bands} bands, less {config.mean_pixel}", trunk),
        Network(f"{name} box head {proposals} regions", box_head),
        Network(f"{name} mask head {MASKS_AT_ONCE} regions", mask_head),
        Network(f"{name} stem {tile_size} px {bands} bands, less {config.mean_pixel}", stem),
        Network(f"{name} end of mask head {MASKS_AT_ONCE} regions", mask_end),
        Weights(f"{name} weights", weights),
    )


class _Once:
    """Networks that are loaded together and given out one by one, so that none takes memory for longer than needed."""

    def __init__(self, load: Callable[[], Networks]) -> None:
        self._load, self._left = load, dict[str, Any]()

    def whole(self) -> Networks:
        """Return all networks to look at; to be called before any is taken, or they are loaded again."""
        networks = self._load()
        self._left = networks._asdict()
        return networks

    def taken(self, name: str) -> Any:
        """Return a network, and let it go."""
        if name not in self._left:
            self.whole()
        return self._left.pop(name)


def _maps(trunk: Any) -> Any:
    """Return a trunk that gives maps only: what comes after them would keep OpenVINO from working channels first."""
    import keras

    pyramid = list(trunk.outputs[:4])
    raw = [_outputs_of(trunk, name) for name in PROPOSALS[1:]]
    return keras.Model(trunk.inputs, [*pyramid, *raw[0], *raw[1]])


def _merged(trunk: Any) -> Any:
    """Return a trunk that ends before the convolutions of 3 x 3 pixels of its pyramid."""
    import keras

    return keras.Model(trunk.inputs, [trunk.get_layer(name).input for name in PYRAMID])


def _outputs_of(trunk: Any, name: str) -> list[Any]:
    """Return what a layer gives at each level, finest first; it is called once a level."""
    nodes = trunk.get_layer(name)._inbound_nodes
    used = {id(node) for nodes in trunk._nodes_by_depth.values() for node in nodes}
    return [node.output_tensors[0] for node in nodes if id(node) in used]


def _mask_end(head: Any) -> Any:
    """Return what comes after the convolutions of 3 x 3 pixels of a mask head."""
    import keras

    enlarging = head.get_layer("mrcnn_mask_deconv")
    features = keras.Input(enlarging.input.shape[1:], name="mask_convolved")
    return keras.Model(features, head.get_layer("mrcnn_mask")(enlarging(features)))


def _weights(networks: Networks) -> dict[str, NDArray[np.float32]]:
    from building_segmenter.networks.folding import for_prediction

    folded = for_prediction(networks.mask_head)
    layers = [*map(networks.trunk.get_layer, (*PYRAMID, *PROPOSALS)), *map(folded.get_layer, MASK)]
    return {
        f"{layer.name} {kind}": np.asarray(values, np.float32)
        for layer in layers
        for kind, values in zip(("kernel", "bias"), layer.get_weights(), strict=True)
    }


def _graph(core: Any, model: Any, *shape: int) -> Any:
    from building_segmenter.inference.from_keras import as_openvino

    return as_openvino(core, model, *shape)


def _less_mean(graph: Any, config: Config) -> Any:
    """Return a graph that takes the mean pixel off by itself."""
    if not any(config.mean_pixel):
        return graph
    from openvino import Layout, Type
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(graph)
    steps.input().tensor().set_element_type(Type.f32).set_layout(Layout("NHWC"))
    steps.input().preprocess().mean(_per_band(config))
    return steps.build()


def _per_band(config: Config) -> list[float]:
    mean = config.mean_pixel
    return [float(value) for value in (mean * config.IMAGE_CHANNEL_COUNT if len(mean) == 1 else mean)]
