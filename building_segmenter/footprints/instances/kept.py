"""Instances of a row of tiles as bytes, for a run that goes on where it was stopped."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from building_segmenter.footprints.instances.instance import Instance, Tile
from building_segmenter.footprints.instances.patch import Patch


def to_bytes(instances: Sequence[Instance]) -> bytes:
    """Return instances as the content of a file of NumPy (.npz)."""
    patches = [one.patch for one in instances]
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        tiles=np.array([one.tile.box for one in instances], np.int64).reshape(-1, 4),
        seams=np.array([one.tile.seams for one in instances], np.bool_).reshape(-1, 4),
        places=np.array([(one.column, one.row) for one in patches], np.int64).reshape(-1, 2),
        shapes=np.array([one.values.shape for one in patches], np.int64).reshape(-1, 2),
        values=np.concatenate([one.values.reshape(-1) for one in patches] or [np.zeros(0, np.uint8)]),
        scores=np.array([one.score for one in instances], np.float64),
        labels=np.array([one.label for one in instances], np.int64),
    )
    return stream.getvalue()


def from_bytes(payload: bytes) -> list[Instance]:
    """Return the instances of `to_bytes`, the same to the last bit and in the same order."""
    with np.load(io.BytesIO(payload), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    sizes = arrays["shapes"].prod(axis=1)
    ends = np.cumsum(sizes)
    found = []
    for k, (end, size) in enumerate(zip(ends.tolist(), sizes.tolist(), strict=True)):
        left, top, right, bottom = arrays["tiles"][k].tolist()
        west, north, east, south = arrays["seams"][k].tolist()
        tile = Tile((left, top, right, bottom), (west, north, east, south))
        column, row = arrays["places"][k].tolist()
        values = arrays["values"][end - size : end].reshape(arrays["shapes"][k])
        patch = Patch(column, row, values)
        found.append(Instance(tile, patch, float(arrays["scores"][k]), int(arrays["labels"][k])))
    return found
