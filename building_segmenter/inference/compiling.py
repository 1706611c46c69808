"""Networks compiled for a device, and weights read from them, or found in the cache."""

from __future__ import annotations

import gc
import hashlib
import io
import json
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from building_segmenter.errors import ModelError
from building_segmenter.inference.devices import Device
from building_segmenter.inference.model_cache import ModelCache
from building_segmenter.inference.network import Network, Weights

_ROOMS = ("inference", "networks")


def compiled_model(
    core: Any,
    network: Network,
    device: Device,
    settings: dict[str, Any],
    kept: ModelCache,
    log: Callable[[str], None],
) -> Any:
    """Return an `openvino.CompiledModel`; one from the cache computes the same bytes as one that was compiled now.

    Args:
        core: An `openvino.Core`.
        network: What to compile; it is not built where it is found in the cache.
        device: What to compile it for.
        settings: Properties of OpenVINO; a model compiled with others is another one.
        kept: Where it is looked for, and kept.
        log: Told when what was kept cannot be used.

    Raises:
        ModelError: The network cannot be built, or not be compiled for this device.
    """
    key = _key(network, device, settings)
    known = kept.read(key)
    if known is not None:
        try:
            return core.import_model(known, device.name, settings)
        except RuntimeError as error:
            log(f"The cached model cannot be used ({_first_line(error)}); it is made again.")
    model = network.build(core)
    # Networks of Keras are cycles of references, and would be in memory while this is compiled.
    gc.collect()
    try:
        compiled = core.compile_model(model, device.name, settings)
    except RuntimeError as error:
        raise ModelError(
            f"The network cannot be compiled for {device.full_name}: {_first_line(error)}",
            "Choose DEVICE cpu and INFERENCE_PRECISION f32, and check that there is enough memory.",
        ) from error
    if "EXPORT_IMPORT" in device.capabilities:
        kept.write(key, compiled.export_model().getvalue())
    return compiled


def kept_weights(weights: Weights, kept: ModelCache) -> dict[str, NDArray[np.float32]]:
    """Return weights by their names, from the cache or read from their network, which then keeps them.

    Raises:
        ModelError: As reading does.
    """
    key = _key_of(weights.content)
    known = kept.read(key)
    if known is not None:
        with np.load(io.BytesIO(known), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    found: dict[str, Any] = weights.read()
    packed = io.BytesIO()
    np.savez(packed, **found)
    kept.write(key, packed.getvalue())
    return found


def _key(network: Network, device: Device, settings: dict[str, Any]) -> str:
    """Return all that a compiled model depends on: what is compiled, by what, for what, and how."""
    target = [device.name, device.full_name, *device.capabilities]
    return _key_of(network.content, openvino=openvino.__version__, device=target, settings=settings)


def _key_of(content: str, **target: Any) -> str:
    made_by = {"sources": _sources_digest(), "keras": version("keras")}
    return json.dumps({"content": content} | made_by | target, sort_keys=True)


@cache
def _sources_digest() -> str:
    """Return a digest of the code that makes models of files: a version number would not tell of a change in it."""
    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for path in sorted(path for room in _ROOMS for path in (package / room).rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
