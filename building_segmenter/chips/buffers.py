"""Memory that a thread uses again and again: fresh memory costs the system more than what is done with it."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_BYTES = 64 << 20
_of_thread = threading.local()


def thread_array(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return an array of any content, which is the thread's only one: the next call gives the same memory again."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > _MOST_BYTES:
        return np.empty(shape, dtype)
    held: NDArray[np.uint8] | None = getattr(_of_thread, "held", None)
    if held is None or held.size < size:
        held = _of_thread.held = np.empty(size, np.uint8)
    array: NDArray[Any] = held[:size].view(dtype).reshape(shape)
    return array
