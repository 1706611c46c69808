"""Reading, cutting and writing at the same time: one thread reads ahead, others cut and write."""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from building_segmenter.chips.chip import Chip, ExportFacts, WrittenChip
from building_segmenter.chips.cutting import Cutter
from building_segmenter.chips.formats import Writer
from building_segmenter.chips.frames import Frame
from building_segmenter.chips.statistics import chip_statistics
from building_segmenter.chips.strips import Strip, StripReader
from building_segmenter.chips.windows import Plan

_MOST_THREADS = 8
_CHIPS_A_REPORT = _CHIPS_A_JOB = 8
_BYTES_UNDER_WAY = 128 << 20


class Pipeline:
    """Cuts and writes the chips of a plan.

    Args:
        plan: Which chips.
        reader: Reads strips.
        cutter: Cuts chips.
        writer: Writes chips.
        facts: Of the export.
        wanted: Tells whether a chip that was cut from a frame is kept.
    """

    def __init__(
        self, plan: Plan, reader: StripReader, cutter: Cutter, writer: Writer, facts: ExportFacts,
        wanted: Callable[[Chip, Frame], bool],
    ) -> None:  # fmt: skip
        self._plan, self._reader, self._cutter, self._writer = plan, reader, cutter, writer
        self._facts, self._wanted = facts, wanted
        self._threads = min(os.cpu_count() or 1, _MOST_THREADS)
        # Threads that meet at every chip spend more time on waiting for each other than on chips.
        chip_bytes = plan.size[0] * plan.size[1] * self._bytes_a_pixel()
        self._chips_a_job = max(1, min(_CHIPS_A_JOB, _BYTES_UNDER_WAY // (2 * self._threads * chip_bytes)))

    def run(self, first: int, number: int, update: Callable[[float], None]) -> Iterator[tuple[int, list[WrittenChip]]]:
        """Cut and write the chips of all strips from one on.

        Args:
            first: The first strip.
            number: Number of the first chip.
            update: Told the share of the strips done; may raise to stop.

        Yields:
            The number of a strip and its chips, once they all are on disk, in the order of the plan.
        """
        with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(self._threads) as working:
            try:
                yield from self._strips(first, number, update, reading, working)
            finally:
                # What is under way is waited for; what is not, is not begun.
                reading.shutdown(wait=False, cancel_futures=True)
                working.shutdown(wait=False, cancel_futures=True)

    def _strips(
        self, first: int, number: int, update: Callable[[float], None], reading: ThreadPoolExecutor,
        working: ThreadPoolExecutor,
    ) -> Iterator[tuple[int, list[WrittenChip]]]:  # fmt: skip
        written: deque[tuple[int, list[Future[list[WrittenChip]]]]] = deque()
        if first >= len(self._plan):
            return
        strips: deque[Strip] = deque(maxlen=3)
        ahead = reading.submit(self._reader.read, first)
        for index in range(first, len(self._plan)):
            strip = ahead.result()
            strips.append(strip)
            if index + 1 < len(self._plan):
                # Of the last strip chips may still be being written; those of the one before are on disk.
                ahead = reading.submit(self._reader.read, index + 1, strips[0] if len(strips) == 3 else None)
            frames, kept, futures = self._plan.strip(index), [], []
            for done, (frame, chip) in enumerate(zip(frames, self._cut(strip, frames, working), strict=True)):
                if done % _CHIPS_A_REPORT == 0:
                    update((index + done / len(frames)) / len(self._plan))
                if chip is not None and self._wanted(chip, frame):
                    kept.append(dataclasses.replace(chip, number=number))
                    number += 1
                if len(kept) == self._chips_a_job or (kept and done + 1 == len(frames)):
                    futures.append(working.submit(self._write, kept))
                    kept = []
            written.append((index, futures))
            while len(written) > 1:
                yield _finished(*written.popleft())
        while written:
            yield _finished(*written.popleft())

    def _cut(self, strip: Strip, frames: list[Frame], working: ThreadPoolExecutor) -> Iterator[Chip | None]:
        """Return the chips of a strip in order, while some of the next are being cut."""
        jobs = [frames[at : at + self._chips_a_job] for at in range(0, len(frames), self._chips_a_job)]
        waiting: deque[Future[list[Chip | None]]] = deque()
        for job in jobs:
            waiting.append(working.submit(self._cut_job, strip, job))
            if len(waiting) > self._threads:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()

    def _cut_job(self, strip: Strip, frames: list[Frame]) -> list[Chip | None]:
        return [self._cutter.cut(strip, frame) for frame in frames]

    def _bytes_a_pixel(self) -> int:
        images = (self._facts.image, self._facts.image2)
        return 8 + sum(one.bands * np.dtype(one.dtype).itemsize for one in images if one is not None)

    def _write(self, chips: list[Chip]) -> list[WrittenChip]:
        return [
            WrittenChip(
                chip.name,
                chip.split,
                chip.angle,
                chip_statistics(chip, self._facts.classes),
                self._writer.write(chip, chip.name),
            )
            for chip in chips
        ]


def _finished(index: int, futures: list[Future[list[WrittenChip]]]) -> tuple[int, list[WrittenChip]]:
    return index, [chip for future in futures for chip in future.result()]


def as_entry(index: int, chips: list[WrittenChip]) -> dict[str, Any]:
    """Return what the journal keeps of a strip."""
    return {"strip": index, "chips": [vars(chip) for chip in chips]}


def from_entries(entries: list[dict[str, Any]]) -> list[WrittenChip]:
    """Return the chips of the journal's strips."""
    return [WrittenChip(**chip) for entry in entries for chip in entry["chips"]]
