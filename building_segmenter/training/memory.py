"""Whether a training step fits into the memory of the machine, told before the first one."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from building_segmenter.errors import OutOfMemoryError

_SMALLEST_CROP = 64
_CROP_STEP = 16
_GB = 1e9
# Measured for batches of 1 to 8 pieces of 256 and 384 px: resident memory grows 1.4 times as fast as the tensors, since
# kernels have room of their own and the allocator keeps some back.
_ALLOCATED, _BESIDE = 1.5, 300_000_000
_PASSED_ON = {"Identity", "Reshape", "ReadVariableOp", "Squeeze", "ExpandDims", "StopGradient"}
"""Operations whose result is their first input's memory, seen in another way."""


def available_bytes() -> int | None:
    """Return the memory that can be had without swapping; None where the system does not say.

    Of macOS only the whole memory is known: there, only what can never fit is refused.
    """
    if sys.platform == "win32":
        return _available_on_windows()
    told = Path("/proc/meminfo")
    if told.is_file():
        lines = dict(line.split(":", 1) for line in told.read_text(encoding="ascii").splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def check_memory(tensors: int, batch_size: int, crop: int, available: int | None) -> None:
    """Refuse a step that needs more memory than there is, and propose what fits.

    Args:
        tensors: Bytes that the step's tensors take at once, as `peak_bytes` tells.
        batch_size: Pieces in a step.
        crop: Side of a piece in pixels.
        available: Memory that can be had, or None: unknown, nothing is refused.

    Raises:
        OutOfMemoryError: It does not fit; the hint has a batch size, or a crop, that does.
    """
    needed = tensors * _ALLOCATED + _BESIDE
    if available is None or needed <= available:
        return
    each, room = tensors * _ALLOCATED / batch_size, max(available - _BESIDE, 0)
    fitting = int(room / each)
    if fitting >= 1:
        hint = f"Set BATCH_SIZE to {fitting} or less, or close other programs."
    else:
        side = crop * (room / each) ** 0.5
        smaller = int(side) // _CROP_STEP * _CROP_STEP
        hint = (
            f"Set BATCH_SIZE to 1 and CROP to {smaller}, or close other programs."
            if smaller >= _SMALLEST_CROP
            else "Close other programs, or train on a machine with more memory."
        )
    raise OutOfMemoryError(
        f"A training step of {batch_size} pieces of {crop} px needs about {needed / _GB:.1f} GB of"
        f" memory, and {available / _GB:.1f} GB are free.",
        hint,
    )


def peak_bytes(graph: Any) -> int:
    """Return how much memory the tensors of a traced function take at the moment when they take most.

    The operations are gone through in their order; a tensor lives until the last one that reads it. So it holds for
    any network, and for what its gradients keep of the way forward.

    Args:
        graph: A `tf.Graph` whose shapes are known.
    """
    operations = graph.get_operations()
    place_of: dict[Any, Any] = {}
    born: dict[Any, int] = {}
    last_use: dict[Any, int] = {}
    sizes: dict[Any, int] = {}
    for number, operation in enumerate(operations):
        for tensor in operation.inputs:
            last_use[place_of[tensor.ref()]] = number
        shared = operation.type in _PASSED_ON and len(operation.inputs) > 0
        for tensor in operation.outputs:
            place = place_of[operation.inputs[0].ref()] if shared else tensor.ref()
            place_of[tensor.ref()] = place
            if not shared:
                born[place], sizes[place] = number, _bytes_of(tensor)
            last_use[place] = number
    changes = np.zeros(len(operations) + 1, np.int64)
    for place, size in sizes.items():
        changes[born[place]] += size
        changes[last_use[place] + 1] -= size
    return int(np.cumsum(changes).max())


def _bytes_of(tensor: Any) -> int:
    count = tensor.shape.num_elements()
    return int(count) * int(tensor.dtype.size) if count and tensor.dtype.size else 0


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API, https://learn.microsoft.com/windows/win32/api/sysinfoapi."""

    _fields_ = (
        ("dwLength", ctypes.c_ulong),
        ("dwMemoryLoad", ctypes.c_ulong),
        *((name, ctypes.c_ulonglong) for name in ("total", "available", "page_total", "page", "virtual_total")),
        ("virtual", ctypes.c_ulonglong),
        ("extended", ctypes.c_ulonglong),
    )


def _available_on_windows() -> int | None:
    status = _MemoryStatus()
    status.dwLength = ctypes.sizeof(status)
    windows: Any = ctypes
    return int(status.available) if windows.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)) else None
