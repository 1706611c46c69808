"""Networks compiled for a device, or found compiled in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import openvino

from building_segmenter.errors import ModelError
from building_segmenter.inference.devices import Device
from building_segmenter.inference.model_cache import ModelCache
from building_segmenter.inference.network import Network

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


def _key(network: Network, device: Device, settings: dict[str, Any]) -> str:
    """Return all that a compiled model depends on: what is compiled, by what, for what, and how."""
    parts = {
        "network": network.content,
        "sources": _sources_digest(),
        "openvino": openvino.__version__,
        "keras": version("keras"),
        "device": [device.name, device.full_name, *device.capabilities],
        "settings": settings,
    }
    return json.dumps(parts, sort_keys=True)


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
