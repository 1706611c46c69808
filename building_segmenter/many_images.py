"""A task of prediction over many images: one after the other with an output each, or all as one mosaic.

Above all rooms, since it runs what `inference` and `footprints` offer for one image and knows neither.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from building_segmenter import tasks
from building_segmenter.errors import (
    BuildingSegmenterError,
    CancelledError,
    DiskFullError,
    ImagesFailedError,
    InputNotFoundError,
    InvalidParameterError,
    ModelError,
    NoOverlapError,
    OutOfMemoryError,
    OutputNotWritableError,
)
from building_segmenter.image_record import Record
from building_segmenter.progress import Progress
from building_segmenter.rasters.image_list import images_in, is_local, names_many
from building_segmenter.rasters.mosaic import mosaic_of

Work = Callable[[Any, Progress], dict[str, Any]]

_STOPPING = (CancelledError, DiskFullError, ModelError, InvalidParameterError)
"""What would befall all further images alike."""

_SHOWN = 20


def sources_of(task: tasks.Task) -> tuple[str, ...] | None:
    """Return what names a task's images if they are several, else None."""
    if not isinstance(task, tasks.PredictionTask):
        return None
    return task.images or ((task.input,) if names_many(task.input) else None)


def run_many(task: tasks.PredictionTask, sources: tuple[str, ...], work: Work, progress: Progress) -> dict[str, Any]:
    """Do all images, as `task.combine` says.

    Args:
        task: What to do; its input is replaced.
        sources: Images, folders, patterns and lists; see `rasters.image_list`.
        work: Does one image.
        progress: Over all of them.

    Returns:
        Of a mosaic: what `work` returns. Else `output` (the folder), `images` (how many), `done`, `skipped` and
        `failed` (a list each), and `record`, the file that tells them.

    Raises:
        ImagesFailedError: Some images failed; the others are done.
        BuildingSegmenterError: What concerns all images: the model, the options, a full disk, an output's place.
    """
    images = images_in(sources)
    if task.combine == "mosaic":
        with mosaic_of(images, progress.part(0.0, 0.02)) as mosaic:
            progress.log(f"{len(images)} images as one mosaic.")
            return work(replace(task, input=mosaic, images=None, combine="each"), progress.part(0.02, 1.0))
    return _Each(task, images, work, progress).run()


@dataclass(frozen=True)
class _Each:
    """A run over images that are done one after the other."""

    task: tasks.PredictionTask
    images: list[str]
    work: Work
    progress: Progress

    def run(self) -> dict[str, Any]:
        """Do all that are not done, and tell how it went."""
        _check_area(self.task)
        parts = [_task_of(self.task, image) for image in self.images]
        _check_apart(parts)
        record = Record(Path(parts[0].output).absolute().parent, parts, resume=self.task.resume)
        skipped = [part for part in parts if record.is_done(part)]
        if skipped:
            self.progress.log(f"{len(skipped)} of {len(parts)} images are done from an earlier run.")
        for part in skipped:
            record.skip(part, "done before")
        self._do([part for part in parts if part not in skipped], record)
        result = {"output": self.task.output, "images": len(parts), **record.outcome(), "record": str(record.path)}
        if result["failed"]:
            raise _some_failed(result)
        return result

    def _do(self, parts: list[tasks.PredictionTask], record: Record) -> None:
        sizes = [record.pixels(part) for part in parts]
        whole, done = sum(sizes), 0
        # Looking at headers tells nothing of how long predicting takes.
        self.progress.measure_from(0.0)
        for number, (part, size) in enumerate(zip(parts, sizes, strict=True), start=1):
            self.progress.log(f"Image {number} of {len(parts)}: {part.input}")
            span = self.progress.part(done / whole, (done + size) / whole)
            sink = _ImageSink(span, f"Image {number} of {len(parts)}")
            self._do_one(part, Progress(sink, self.progress.cancelled), record)
            done += size

    def _do_one(self, part: tasks.PredictionTask, progress: Progress, record: Record) -> None:
        try:
            record.done(part, self.work(part, progress))
        except _STOPPING:
            raise
        except NoOverlapError as error:
            # With an area of interest, or an extent, it is no fault of an image to lie outside.
            record.skip(part, error.message)
            self.progress.log(f"Skipped {part.input}: {error.message}")
        except Exception as error:
            told = _told(error)
            if told.code == "internal":
                self.progress.log(traceback.format_exc())
            record.failed(part, told)
            self.progress.warn(f"Failed [{told.code}] {part.input}: {told.message} {told.hint}")


class _ImageSink:
    """Puts the progress of one image into that of all: its own time left would be judged afresh for each."""

    def __init__(self, span: Progress, name: str) -> None:
        self._span, self._name = span, name
        self.log, self.warning = span.log, span.warn

    def progress(self, fraction: float, stage: str, eta_s: float | None) -> None:
        """Report the share done of the image as a share of all."""
        self._span.update(fraction, f"{self._name}: {stage}")


def _told(error: Exception) -> BuildingSegmenterError:
    if isinstance(error, BuildingSegmenterError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemoryError("The memory does not suffice.", "Close other programs, or work on a smaller extent.")
    return BuildingSegmenterError(
        f"{type(error).__name__}: {error}", "This is a mistake of ours: please report it with the lines of the log."
    )


def _check_area(task: tasks.PredictionTask) -> None:
    path = (task.area or "").partition(tasks.LAYER_MARK)[0]
    if path and is_local(path) and not os.path.exists(path):
        raise InputNotFoundError(f"AREA, {path}, does not exist.", "Check the path.")


def _task_of(task: tasks.PredictionTask, image: str) -> tasks.PredictionTask:
    """Return the task of one image, with outputs named after it."""
    options = tasks.options_of(type(task))
    outputs: dict[str, Any] = {
        name: _output_of(getattr(task, name), image, name, option.suffixes[0])
        for name, option in options.items()
        if option.kind in tasks.OUTPUT_KINDS and getattr(task, name)
    }
    return replace(task, input=image, images=None, combine="each", **outputs)


def _output_of(output: str, image: str, name: str, suffix: str) -> str:
    place = Path(output)
    stem = Path(image).stem
    if "*" in place.name:
        return str(place.with_name(place.name.replace("*", stem)))
    if not place.is_dir():
        raise OutputNotWritableError(
            f"{name.upper()}, {output}, is not a folder that exists, and there are several images.",
            "Make the folder, or name files with * for the image's name, as folder/*" + suffix + "; or combine the"
            " images as a mosaic (COMBINE).",
        )
    return str(place / f"{stem}{suffix}")


def _check_apart(parts: list[tasks.PredictionTask]) -> None:
    """Refuse images whose outputs would be one file, before the first is begun."""
    images = {os.path.normcase(os.path.abspath(part.input)): part.input for part in parts}
    taken: dict[str, str] = {}
    for part in parts:
        for name, option in tasks.options_of(type(part)).items():
            path = getattr(part, name)
            if option.kind not in tasks.OUTPUT_KINDS or not path:
                continue
            key = os.path.normcase(os.path.abspath(path))
            # Also of names that differ in nothing but case, which some file systems take for one.
            other = taken.setdefault(key.lower(), part.input) if key not in images else images[key]
            if other != part.input or key in images:
                raise InvalidParameterError(
                    f"{name.upper()} of {part.input} would be {path}, which is"
                    + (f" the image {other}." if key in images else f" also that of {other}."),
                    "Name another folder, or give images of the same name in runs of their own.",
                )


def _some_failed(result: dict[str, Any]) -> ImagesFailedError:
    failed = result["failed"]
    lines = [f"[{one['code']}] {one['image']}: {one['message']} {one['hint']}" for one in failed[:_SHOWN]]
    if len(failed) > _SHOWN:
        lines.append(f"and {len(failed) - _SHOWN} more, in {result['record']}")
    return ImagesFailedError(
        f"{len(failed)} of {result['images']} images failed:\n" + "\n".join(lines),
        "The outputs of the others are whole. Run the same again when the causes are mended: it does what is missing.",
        result,
    )
