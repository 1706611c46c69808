"""Work on many items in threads, with the results in the items' order and a bound on what is under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_LOOK_S = 0.1


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, ahead: int, check: Callable[[], None]
) -> Generator[Result, None, None]:
    """Yield a function's results in the order of its items, while later items are worked on.

    What the function raises is raised when its item's turn comes. Close the iterator (`contextlib.closing`) where it
    may not be drawn to its end: that drops what has not begun and waits for what has.

    Args:
        function: Called in threads.
        items: Drawn as work proceeds, in the caller's thread.
        threads: How many items are worked on at a time.
        ahead: How many items are begun or finished, and not yet yielded, at most.
        check: Called while waiting, several times a second; stops the work by raising.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="tile")
    begun: deque[Future[Result]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(function, item))
            if len(begun) >= ahead:
                yield _awaited(begun.popleft(), check)
        while begun:
            yield _awaited(begun.popleft(), check)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _awaited(future: Future[Result], check: Callable[[], None]) -> Result:
    while True:
        check()
        try:
            return future.result(timeout=_LOOK_S)
        except TimeoutError:
            # The function may have raised one, too.
            if future.done():
                return future.result()
