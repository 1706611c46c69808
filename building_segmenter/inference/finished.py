"""What is finished, kept on disk while a prediction runs, for a run that goes on where this one is stopped.

A block of rows is a small file in the state folder of the output, compressed with lz4, which takes a tenth of the time
that the GeoTIFF's own compression does. An entry of the journal tells that it is whole. A run that goes on writes the
GeoTIFF anew from the blocks, for which they are rows like those that it predicts.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from building_segmenter.resume import Journal

_CODEC = "lz4"
_LEAST_BYTES = 1 << 20
"""Rows are kept together up to this size: the work would wait for the disk too often in narrow rasters."""


class FinishedParts:
    """Parts of one result that are finished one after the other, without gaps; each is a file.

    Args:
        folder: Where they are kept; None: nowhere.
        journal: Of that folder. Entries whose part is not whole on the disk any more are forgotten, with all after.
        suffix: Ending of the files.
    """

    def __init__(self, folder: Path | None, journal: Journal, suffix: str) -> None:
        self._folder, self._journal, self._suffix = folder, journal, suffix
        whole = takewhile(self._is_whole, enumerate(journal.done))
        journal.forget(sum(1 for _ in whole))

    @property
    def are_kept(self) -> bool:
        """Whether there is a folder; without one, making a payload is work for nothing."""
        return self._folder is not None

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What was told of each part when it was kept."""
        return list(self._journal.done)

    def read(self, number: int) -> bytes:
        """Return a part, counted from 0."""
        return self._path(number).read_bytes()

    def keep(self, payload: bytes, **told: Any) -> None:
        """Keep the next part, where there is a folder.

        Args:
            payload: Its content.
            told: What to tell of it in `entries`, ready for JSON.

        Raises:
            OSError: It cannot be kept; what was kept before is whole.
        """
        if self._folder is None:
            return
        path = self._path(len(self._journal.done))
        try:
            with path.open("wb") as file:
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            # On a full disk its part would take room that the rest may need.
            path.unlink(missing_ok=True)
            raise
        self._journal.add({**told, "crc": zlib.crc32(payload)}, durable=True)

    def forget(self) -> None:
        """Take all parts for nothing worth keeping."""
        self._journal.forget()

    def _is_whole(self, numbered: tuple[int, dict[str, Any]]) -> bool:
        number, entry = numbered
        path = self._path(number)
        return path.is_file() and zlib.crc32(path.read_bytes()) == entry["crc"]

    def _path(self, number: int) -> Path:
        assert self._folder is not None  # without a folder the journal is empty
        return self._folder / f"{number}{self._suffix}"


class FinishedBlocks:
    """The finished blocks of one raster of uint8, from its top on, without gaps.

    Args:
        folder: Where blocks are kept; see `FinishedParts`.
        journal: Of that folder.
        bands: Of the raster.
        width: Of the raster, in pixels.
    """

    def __init__(self, folder: Path | None, journal: Journal, bands: int, width: int) -> None:
        self._parts = FinishedParts(folder, journal, ".rows")
        self._bands, self._width = bands, width

    @property
    def rows(self) -> int:
        """How many rows are finished."""
        return sum(int(entry["rows"]) for entry in self._parts.entries)

    def earlier(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the blocks that a stopped run left, (bands, rows, width)."""
        for number, entry in enumerate(self._parts.entries):
            shape = self._bands, int(entry["rows"]), self._width
            raw = pa.decompress(self._parts.read(number), int(np.prod(shape)), codec=_CODEC, asbytes=True)
            yield np.frombuffer(raw, np.uint8).reshape(shape)

    def keeping(self, parts: Generator[NDArray[np.uint8], None, None]) -> Generator[NDArray[np.uint8], None, None]:
        """Yield rows (bands, rows, width) as they come, and keep them.

        Args:
            parts: The rows that follow the earlier ones; closed with this generator.

        Raises:
            OSError: They cannot be kept; what was kept before is whole.
        """
        waiting = list[NDArray[np.uint8]]()
        with closing(parts):
            for part in parts:
                waiting.append(part)
                if sum(one.nbytes for one in waiting) >= _LEAST_BYTES:
                    self._keep(waiting)
                    waiting = []
                yield part
        if waiting:
            self._keep(waiting)

    def forget(self) -> None:
        """Take all blocks for nothing worth keeping."""
        self._parts.forget()

    def _keep(self, parts: list[NDArray[np.uint8]]) -> None:
        if self._parts.are_kept:
            block = np.ascontiguousarray(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1))
            packed = pa.compress(block.reshape(-1), codec=_CODEC, asbytes=True)
            self._parts.keep(packed, rows=block.shape[1])
