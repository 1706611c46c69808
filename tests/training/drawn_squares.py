"""Small datasets of drawn squares with exact masks to find objects in; imports neither Keras nor TensorFlow."""

import importlib.util
from pathlib import Path

import numpy as np
import shapely

SIZE = 96


def draw_squares(folder, name="rcnn-masks", *, count=12, size=SIZE, sheds=False, unknown=0, seed=1):
    """Write chips of bright squares, every fourth one for validation, and one without any; returns the folder.

    Args:
        sheds: Make every second square darker, and of another class.
        unknown: Columns on the right that nobody knows.
    """
    drawn, rng = drawn_chips(), np.random.default_rng(seed)
    classes = drawn.CLASSES if sheds else drawn.CLASSES[:1]
    chips = [_chip(drawn, rng, number, size, sheds, unknown, classes) for number in range(count)]
    return str(drawn.export(Path(folder), name, chips, size=(size, size), classes=classes))


def drawn_chips():
    place = Path(__file__).parent.parent / "chips" / "drawn_chips.py"
    spec = importlib.util.spec_from_file_location("drawn_chips", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _chip(drawn, rng, number, size, sheds, unknown, classes):
    image = rng.integers(20, 60, (size, size, 3)).astype(np.uint8)
    boxes, values = [], []
    # One in each of four quarters at most, so that none hides another; two of them may touch.
    for index in range(0 if number == 1 else 4):
        if index and rng.random() < 0.3:
            continue
        half = size // 2
        side = rng.integers(half // 2, half - 3, 2)
        corner = np.array([index // 2, index % 2]) * half + rng.integers(0, half - side + 1)
        is_shed = sheds and index % 2 == 1
        image[corner[0] : corner[0] + side[0], corner[1] : corner[1] + side[1]] += np.uint8(90 if is_shed else 170)
        boxes.append(shapely.box(corner[1], corner[0], corner[1] + side[1], corner[0] + side[0]))
        values.append(4 if is_shed else 1)
    hidden = None
    if unknown:
        hidden = np.zeros((size, size), bool)
        hidden[:, size - unknown :] = True
    split = "validation" if number % 4 == 0 else "train"
    return drawn.chip_of(
        boxes, values, number=number, split=split, image=image, size=(size, size), classes=classes, unknown=hidden
    )
