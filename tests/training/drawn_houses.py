"""Small datasets of drawn houses to train on; imports neither Keras nor TensorFlow."""

from pathlib import Path

import numpy as np
import rasterio

from building_segmenter.chips.manifest import write_manifest

SIZE = 64


def draw_dataset(folder, *, bands=3, dtype="uint8", contacts=True, gsd=0.2, seed=1):
    folder = Path(folder)
    rng = np.random.default_rng(seed)
    names = [f"{index:09d}" for index in range(20)]
    images = [draw_chip(rng, bands, dtype) for _ in names]
    for part in ("images", "labels", *(["contacts"] if contacts else [])):
        (folder / part).mkdir(parents=True)
    for name, (image, label) in zip(names, images, strict=True):
        write(folder / "images" / f"{name}.tif", np.moveaxis(image, -1, 0))
        write(folder / "labels" / f"{name}.tif", label[np.newaxis])
        if contacts:
            write(folder / "contacts" / f"{name}.tif", np.zeros((1, SIZE, SIZE), np.uint8))
    pixels = np.stack([image for image, _ in images]).reshape(-1, bands).astype(float)
    statistics = [{"min": band.min(), "max": band.max(), "mean": band.mean(), "std": band.std()} for band in pixels.T]
    chips = [{"name": name, "split": "validation" if i % 5 == 0 else "train"} for i, name in enumerate(names)]
    classes = [{"value": 1, "name": "building"}]
    facts = {"gsd": [gsd, gsd], "tile_size": SIZE, "dtype": dtype, "statistics": statistics, "classes": classes}
    write_manifest(folder, facts | {"chips": chips})
    return str(folder)


def draw_chip(rng, bands, dtype):
    """A bright house on dark, noisy ground, and a strip that nobody has labelled."""
    unit = 1 if dtype == "uint8" else 20
    image = rng.integers(20 * unit, 90 * unit, (SIZE, SIZE, bands)).astype(dtype)
    label = np.zeros((SIZE, SIZE), np.uint8)
    y, x = rng.integers(2, 30, 2)
    height, width = rng.integers(16, 32, 2)
    image[y : y + height, x : x + width] += np.array(120 * unit, dtype)
    label[y : y + height, x : x + width] = 1
    label[:, 60:] = 255
    return image, label


def write(path, array):
    profile = {"width": SIZE, "height": SIZE, "count": array.shape[0], "dtype": array.dtype, "driver": "GTiff"}
    with rasterio.open(path, "w", **profile) as target:
        target.write(array)
