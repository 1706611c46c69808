"""What is checked in a model file before Keras sees it, so that loading a model never runs code.

A `.keras` file is a zip archive of a JSON configuration and HDF5 weights. Keras' own `safe_mode` refuses lambdas;
here every class must in addition be one of Keras' own that describe a network, the archive must be of sane size,
and the weights must not reach outside their file.
"""

from __future__ import annotations

import io
import json
import os
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from building_segmenter.errors import InputNotFoundError, ModelError, UnsafeModelError

CONFIG, WEIGHTS = "config.json", "model.weights.h5"

_MAX_ENTRIES = 200
_MAX_BYTES = 4 << 30
_MAX_JSON_BYTES = 32 << 20
_MAX_EXPANSION = 200
_MAX_NESTING = 200

_CLASS_MODULES = (
    "keras.layers",
    "keras.initializers",
    "keras.regularizers",
    "keras.constraints",
    "keras.activations",
    "keras.quantizers",
    "keras.dtype_policies",
    "keras.src.models.functional",
    "keras.src.models.model",
    "keras.src.models.sequential",
)
# Operations of a graph lie in modules of their own below this one.
_OPERATION_MODULES = "keras.src.ops."
_MIXED_MODULES = ("keras", "keras.models")
_MIXED_CLASSES = ("DTypePolicy", "Functional", "Model", "Sequential")
_FUNCTION_MODULES = ("builtins", "keras.activations", "keras.initializers")
_REFUSED_CLASSES = ("Lambda", "TorchModuleWrapper", "FlaxLayer", "JaxLayer", "TFSMLayer")
_PLAIN_VALUES = ("__keras_tensor__", "__tensor__", "__numpy__", "__tuple__", "__bytes__", "__ellipsis__")


def existing(path: str | os.PathLike[str]) -> Path:
    """Return the path of a model file that is there.

    Raises:
        InputNotFoundError: The file does not exist.
    """
    file = Path(path)
    if not file.is_file():
        raise InputNotFoundError(f"The model {file} does not exist.", "Check the path.")
    return file


@contextmanager
def open_archive(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    """Open a model file as an archive and check that unpacking it is harmless.

    Raises:
        InputNotFoundError: The file does not exist.
        ModelError: It is not an archive, or a damaged one.
        UnsafeModelError: Too many or too large entries, or names that leave the archive.
    """
    file = existing(path)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelError(
            f"The model {file} is not a .keras file: {error}",
            "Choose a .keras file that Train model made; if it is one, it is damaged: copy it again.",
        ) from error
    with archive:
        _check_entries(archive, str(file))
        yield archive


def check_model(archive: zipfile.ZipFile, source: str) -> None:
    """Check configuration and weights of a model.

    Raises:
        ModelError: They are missing or damaged.
        UnsafeModelError: They hold code, foreign classes or links to other files.
    """
    for entry in (CONFIG, WEIGHTS):
        if entry not in archive.namelist():
            raise ModelError(
                f"The model {source} has no entry {entry}.", "It is not a whole .keras file: copy it again."
            )
    check_config(read_json(archive, CONFIG, source), source)
    check_weights(io.BytesIO(_read(archive, WEIGHTS, source)), source)


def read_json(archive: zipfile.ZipFile, entry: str, source: str) -> Any:
    """Read a JSON entry of an archive.

    Raises:
        ModelError: It is damaged.
        UnsafeModelError: It is absurdly large.
    """
    if archive.getinfo(entry).file_size > _MAX_JSON_BYTES:
        raise _unsafe(source, f"its entry {entry} is larger than {_MAX_JSON_BYTES >> 20} MB")
    try:
        return json.loads(_read(archive, entry, source))
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"The entry {entry} of the model {source} is damaged: {error}", "Copy the file again."
        ) from error


def check_weights(file: Any, source: str) -> None:
    """Check that HDF5 weights hold nothing but groups and arrays stored in the file itself.

    Args:
        file: A path or an open binary file.
        source: The model file, for error messages.

    Raises:
        ModelError: The weights are damaged.
        UnsafeModelError: They link to other files or store arrays in them.
    """
    try:
        with h5py.File(file, "r") as weights:
            _check_group(weights, source, 0)
    except (OSError, RuntimeError, KeyError) as error:
        raise ModelError(f"The weights in {source} are damaged or no HDF5: {error}", "Copy the file again.") from error


@contextmanager
def no_weights_left_out() -> Iterator[None]:
    """Make Keras fail where it only warns that a file lacks weights and the layer stays as it was drawn at random."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Skipping", category=UserWarning)
        yield


def _check_entries(archive: zipfile.ZipFile, source: str) -> None:
    entries = archive.infolist()
    if len(entries) > _MAX_ENTRIES:
        raise _unsafe(source, f"its archive has {len(entries)} entries")
    if len({entry.filename for entry in entries}) != len(entries):
        raise _unsafe(source, "its archive has two entries of one name, which programs read differently")
    if sum(entry.file_size for entry in entries) > _MAX_BYTES:
        raise _unsafe(source, f"its archive unpacks to more than {_MAX_BYTES >> 30} GB")
    for entry in entries:
        if entry.file_size > 1 << 20 and entry.file_size > _MAX_EXPANSION * max(entry.compress_size, 1):
            raise _unsafe(source, f"its entry {entry.filename} unpacks to {entry.file_size} bytes: a zip bomb")
        if entry.filename.startswith(("/", "\\")) or ".." in entry.filename.replace("\\", "/").split("/"):
            raise _unsafe(source, f"its entry {entry.filename} leads out of the archive")


def check_config(config: Any, source: str, depth: int = 0) -> None:
    """Check that a network's configuration names nothing but Keras' own classes.

    Args:
        config: The parsed configuration, or a part of it.
        source: The model file, for error messages.
        depth: How deep the part lies.

    Raises:
        UnsafeModelError: It holds code or foreign classes.
    """
    if depth > _MAX_NESTING:
        raise _unsafe(source, "its configuration is nested without end")
    if isinstance(config, Mapping):
        if "class_name" in config:
            _check_class(config, source)
        for value in config.values():
            check_config(value, source, depth + 1)
    elif isinstance(config, list):
        for value in config:
            check_config(value, source, depth + 1)


def _check_class(config: Mapping[str, Any], source: str) -> None:
    name, module, registered = config["class_name"], config.get("module"), config.get("registered_name")
    if not isinstance(name, str):
        raise _unsafe(source, f"it names a class {name!r}")
    if name in _PLAIN_VALUES:
        return
    if name in _REFUSED_CLASSES or name.startswith("__lambda"):
        raise UnsafeModelError(
            f"The model {source} has a layer {name}, which can hold code; it was not loaded.",
            "Build the model without it, from layers that Keras knows, and train it again.",
        )
    if not (_is_own_function(config) if name == "function" else _is_own_class(name, module)):
        raise _unsafe(source, f"it needs {module}.{name}, which is not a part of a network that Keras knows")
    if registered not in (None, name) and name != "function":
        raise _unsafe(source, f"its class {name} is registered as {registered}")


def _is_own_class(name: str, module: Any) -> bool:
    if module in _MIXED_MODULES:
        return name in _MIXED_CLASSES
    # Classes begin with a capital; functions of these modules, such as deserialize, do not.
    known = isinstance(module, str) and (module in _CLASS_MODULES or module.startswith(_OPERATION_MODULES))
    return known and name[:1].isupper()


def _is_own_function(config: Mapping[str, Any]) -> bool:
    """Functions, such as activations, have their name as configuration."""
    name = config.get("config")
    return config.get("module") in _FUNCTION_MODULES and isinstance(name, str) and name.isidentifier()


def _check_group(group: h5py.Group, source: str, depth: int) -> None:
    if depth > _MAX_NESTING:
        raise _unsafe(source, "its weights are nested without end")
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink | h5py.SoftLink):
            raise _unsafe(source, f"its weights link to {getattr(link, 'filename', 'this file')}:{link.path}")
        child = group[name]
        if isinstance(child, h5py.Group):
            _check_group(child, source, depth + 1)
        elif not isinstance(child, h5py.Dataset):
            raise _unsafe(source, f"its weights hold {name}, which is no array")
        elif child.external or child.is_virtual:
            raise _unsafe(source, f"its array {child.name} lies in another file")


def _read(archive: zipfile.ZipFile, entry: str, source: str) -> bytes:
    try:
        return archive.read(entry)
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ModelError(
            f"The entry {entry} of the model {source} is damaged: {error}", "Copy the file again."
        ) from error


def _unsafe(source: str, what: str) -> UnsafeModelError:
    return UnsafeModelError(
        f"The model {source} was not loaded: {what}.",
        "Do not use this file; get the model again from whoever trained it.",
    )
