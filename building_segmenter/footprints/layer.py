"""Regularize whole layers in any CRS: to ground metres and back, with fields that say what happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray

from building_segmenter import tasks
from building_segmenter.footprints.measures import vertex_counts
from building_segmenter.footprints.regularize import Method, Regularized, Settings, regularize_polygons
from building_segmenter.footprints.regularize.heights import heights_from, with_heights
from building_segmenter.geo.ground import GroundFrame, frames_by_place
from building_segmenter.geo.vectors import check_vector_output, read_polygons, write_polygons
from building_segmenter.progress import Progress

_MEASURES = ("area_m2", "perim_m", "vertices")
_OUTCOME = ("status", "reason", "method", "angle_deg", "max_dev_m", "iou")


def regularize_footprints(options: tasks.RegularizeFootprints, progress: Progress) -> dict[str, Any]:
    """Regularize a layer of footprints into a new one.

    Returns:
        `output`, `features`, `regularized`, `kept`, and `reasons` with the number of features for each reason.

    Raises:
        BuildingSegmenterError: The input cannot be read or the output not written.
    """
    check_vector_output(options.output)
    progress.update(0.0, "Reading")
    frame = read_polygons(options.input, "footprints")
    result = regularize_layer(
        frame,
        method="right-angles",
        tolerance=options.tolerance,
        densification=options.densification,
        precision=options.precision,
        progress=progress.part(0.1, 0.9),
    )
    progress.update(0.9, "Writing")
    write_polygons(_with_ids(result, options.output), options.output)
    kept = result["status"] == 1
    reasons = {str(reason): int(count) for reason, count in result.loc[kept, "reason"].value_counts().items()}
    if reasons:
        counts = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        progress.log(f"{int(kept.sum())} of {len(result)} outlines were kept as they were: {counts}.")
    progress.update(1.0, "Done")
    return {
        "output": options.output,
        "features": len(result),
        "regularized": int((~kept).sum()),
        "kept": int(kept.sum()),
        "reasons": reasons,
    }


def regularize_layer(
    frame: geopandas.GeoDataFrame,
    *,
    method: Method = "right-angles",
    tolerance: float = 1.0,
    densification: float | None = None,
    precision: float = 0.25,
    ground: GroundFrame | None = None,
    progress: Progress | None = None,
) -> geopandas.GeoDataFrame:
    """Regularize the polygons of a layer in ground metres.

    Index, order, attributes, CRS, parts and Z stay. Fields are added: `area_m2`, `perim_m` (ground), `vertices`,
    `status` (0 regularized, 1 original kept), `reason` (empty, or a key of `REASONS`), `method` (empty where the
    original was kept), `angle_deg`, `max_dev_m` and `iou` (null there). Those of an earlier run are replaced; a
    field of the user's with one of these names is kept as `NAME_1`.

    Args:
        frame: Polygons in any CRS; null, empty and invalid geometries are let through with status 1.
        method: See `Settings`.
        tolerance: Metres.
        densification: Metres, or None for half the tolerance.
        precision: 0.05..0.25.
        ground: Frame in which to work. None: local frames from the layer's CRS.
        progress: Told after each batch, and asked whether to stop.

    Raises:
        MissingCrsError: There is neither a CRS nor a frame.
        InputUnreadableError: The CRS is not defined where the layer lies.
        CancelledError: The caller asked to stop.
    """
    settings = Settings(method, tolerance, densification, precision)
    progress = progress or Progress()
    outlines = np.asarray(frame.geometry.to_numpy(), dtype=object)
    results = _Columns.none(outlines)
    done = 0.0
    bounds = shapely.bounds(outlines)
    if ground is None:
        outside = _outside(frame.crs, bounds)
        results.reason[outside] = "outside-crs"
        bounds[outside] = np.nan
    for members, group in _groups(frame.crs, bounds, ground):
        share = len(members) / len(outlines)
        results.put(members, group, settings, progress.part(done, done + share))
        done += share
    return results.added_to(frame, method)


@dataclass
class _Columns:
    """The results for a layer while they are gathered, in its CRS."""

    geometry: NDArray[np.object_]
    status: NDArray[np.int32]
    reason: NDArray[np.object_]
    numbers: dict[str, NDArray[np.float64]]
    vertices: NDArray[np.int32]

    @classmethod
    def none(cls, outlines: NDArray[np.object_]) -> _Columns:
        count = len(outlines)
        reason = np.full(count, "not-finite", object)
        reason[shapely.is_missing(outlines) | shapely.is_empty(outlines)] = "empty"
        numbers = {name: np.full(count, np.nan) for name in ("area_m2", "perim_m", "angle_deg", "max_dev_m", "iou")}
        return cls(outlines.copy(), np.ones(count, np.int32), reason, numbers, vertex_counts(outlines))

    def put(self, members: Any, frame: GroundFrame, settings: Settings, progress: Progress) -> None:
        """Regularize the features at these places in their ground frame."""
        originals = self.geometry[members]
        plane = frame.geometry_to_ground(originals)
        found = regularize_polygons(plane, settings, progress)
        new = found.status == 0
        if new.any():
            self.geometry[members[new]] = _back_in_layer(originals[new], plane[new], found.geometry[new], frame)
        self._note(members, found, np.where(new, found.geometry, plane))

    def _note(self, members: Any, found: Regularized, plane: Any) -> None:
        self.status[members], self.reason[members] = found.status, found.reason
        self.vertices[members] = found.vertices
        self.numbers["area_m2"][members] = shapely.area(plane)
        self.numbers["perim_m"][members] = shapely.length(plane)
        self.numbers["angle_deg"][members] = found.angle_deg
        self.numbers["max_dev_m"][members] = found.max_dev_m
        self.numbers["iou"][members] = found.iou

    def added_to(self, frame: geopandas.GeoDataFrame, method: str) -> geopandas.GeoDataFrame:
        result = _with_room(frame)
        result[result.geometry.name] = geopandas.GeoSeries(self.geometry, index=frame.index, crs=frame.crs)
        result["area_m2"], result["perim_m"] = self.numbers["area_m2"], self.numbers["perim_m"]
        result["vertices"], result["status"], result["reason"] = self.vertices, self.status, self.reason
        result["method"] = np.where(self.status == 0, method, "").astype(object)
        for name in ("angle_deg", "max_dev_m", "iou"):
            result[name] = self.numbers[name]
        return result


def _outside(crs: Any, bounds: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return features whose place the CRS does not define; none if that goes for all, which is another mistake."""
    parsed = pyproj.CRS.from_user_input(crs) if crs is not None else None
    if parsed is None or parsed.geodetic_crs is None:
        return np.empty(0, np.intp)
    there = np.flatnonzero(np.isfinite(bounds).all(axis=1))
    geographic = pyproj.Transformer.from_crs(parsed, parsed.geodetic_crs, always_xy=True)
    middle = (bounds[there, :2] + bounds[there, 2:]) / 2
    longitude, latitude = geographic.transform(middle[:, 0], middle[:, 1])
    outside = there[~(np.isfinite(longitude) & (np.abs(latitude) <= 90))]
    return outside if len(outside) < len(there) else np.empty(0, np.intp)


def _groups(
    crs: Any, bounds: NDArray[np.float64], ground: GroundFrame | None
) -> Iterator[tuple[NDArray[np.intp], GroundFrame]]:
    if ground is None:
        yield from frames_by_place(crs, bounds)
        return
    members = np.flatnonzero(np.isfinite(bounds).all(axis=1))
    if len(members):
        yield members, ground


def _back_in_layer(originals: Any, plane: Any, found: Any, frame: GroundFrame) -> NDArray[np.object_]:
    result: NDArray[np.object_] = frame.geometry_to_layer(found)
    for k in np.flatnonzero(shapely.has_z(originals)):
        result[k] = with_heights(result[k], heights_from(originals[k], plane[k], found[k]))
    return result


def _with_room(frame: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """Return a copy without our fields, and with the user's fields of the same names out of their way."""
    ours = set(_OUTCOME) <= set(frame.columns)
    drop = [name for name in frame.columns if name in _MEASURES or (ours and name in _OUTCOME)]
    result = frame.drop(columns=drop)
    taken = {name.lower() for name in result.columns} | set(_MEASURES) | set(_OUTCOME)
    renamed: dict[str, str] = {}
    for name in result.columns:
        # Formats such as GeoPackage do not tell upper from lower case in names of fields.
        if name.lower() in _MEASURES + _OUTCOME:
            renamed[name] = _free_name(name, taken)
            taken.add(renamed[name].lower())
    return result.rename(columns=renamed)


def _free_name(name: str, taken: set[str]) -> str:
    number = 1
    while f"{name}_{number}".lower() in taken:
        number += 1
    return f"{name}_{number}"


def _with_ids(frame: geopandas.GeoDataFrame, output: str) -> geopandas.GeoDataFrame:
    """Return the frame as it should be written to GeoPackage, whose key is a column `fid`.

    Feature ids of the input (the index, as `read_polygons` gives it) are kept as such where they can be; a field
    of the name that cannot be the key is kept as `fid_1`.
    """
    if not output.lower().endswith(".gpkg"):
        return frame
    named = [name for name in frame.columns if name.lower() == "fid"]
    taken = {name.lower() for name in frame.columns}
    result = frame.rename(columns={name: _free_name(name, taken) for name in named if not _can_be_key(frame[name])})
    if not named and frame.index.name == "fid" and _can_be_key(frame.index):
        result.insert(0, "fid", frame.index.to_numpy())
    return result


def _can_be_key(values: Any) -> bool:
    whole = pd.api.types.is_integer_dtype(values.dtype) and not values.isna().any()
    return bool(whole and values.is_unique and len(values) and values.min() >= 1)
