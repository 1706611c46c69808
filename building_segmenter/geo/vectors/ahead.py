"""Steps of a stream that overlap: each takes from the one before through a short queue."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from typing import Any, TypeVar

T = TypeVar("T")

_POLL_S = 0.1


@contextmanager
def ahead(items: Iterable[T], depth: int = 2) -> Iterator[Iterator[T]]:
    """Give an iterator whose items are made in a thread of their own, at most `depth` of them ahead.

    An error of the maker is raised where its item would have come. When the block ends, for whatever reason, the
    maker is stopped before its next item and waited for. A generator is closed by the thread that drew from it, so that
    what it holds, such as open rasters and threads of its own, ends there and before what the block stands in.

    Args:
        items: Made in the other thread, from first to last.
        depth: Items that may wait; memory holds these, the one being made and the one in use.
    """
    made: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not stopped.is_set():
            try:
                made.put((kind, value), timeout=_POLL_S)
                return True
            except queue.Full:
                continue
        return False

    def make() -> None:
        try:
            with closing(items) if isinstance(items, Generator) else nullcontext():
                for item in items:
                    if not put("item", item):
                        return
            put("end", None)
        except BaseException as error:
            put("error", error)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        yield _taken(made)
    finally:
        stopped.set()
        thread.join()


def _taken(made: queue.Queue[tuple[str, Any]]) -> Iterator[Any]:
    while True:
        kind, value = made.get()
        if kind == "error":
            raise value
        if kind == "end":
            return
        yield value
