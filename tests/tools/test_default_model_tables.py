"""Tables of the model card."""

from tools.default_model import tables


def buildings(f1, corners=6.04):
    return {"f1": f1, "precision": 0.9, "recall": 0.7, "corners": corners, "true_corners": 5.0}


def test_accuracy():
    rows = [
        {"place": "A", "pixel_iou": 0.8, "parted": buildings(0.8), "not_parted": buildings(0.3)},
        {"place": "B", "pixel_iou": 0.7, "parted": buildings(0.7, None), "not_parted": buildings(0.5)},
    ]
    lines = tables.accuracy_table(rows).splitlines()
    assert lines[1] == "| --- | --- | --- | --- | --- |"
    assert lines[2:] == [
        "| A | 0.800 | 0.80 (0.90, 0.70) | 0.30 (0.90, 0.70) | 6.0 (5.0) |",
        "| B | 0.700 | 0.70 (0.90, 0.70) | 0.50 (0.90, 0.70) | none |",
        "| mean | 0.750 | 0.75 | 0.40 |  |",
    ]


def test_ground_pixels():
    rows = [{"gsd": 0.1, "pixel_iou": {"A": 0.8, "B": 0.7}, "mean": 0.75}]
    assert tables.ground_pixel_table(rows).splitlines()[::2] == [
        "| ground pixel of the image | A | B | mean |",
        "| 0.1 m | 0.800 | 0.700 | 0.750 |",
    ]


def test_precision():
    rows = [{"place": "A", "f32": 0.8012, "bf16": 0.8009, "mask_iou": 0.99871}]
    assert tables.precision_table(rows).splitlines()[-1] == "| A | 0.801 | 0.801 | -0.0003 | 0.9987 |"


def test_towns_left_out():
    town = {"town": "kampala", "value": 0.71, "low": 0.66, "high": 0.75, "cells": 40, "threshold": 0.55}
    figures = {
        "towns": [town | {"places": {"Kampala block 0": 0.7, "Kampala block 1": 0.74}}],
        "mean": {"value": 0.71, "low": 0.66, "high": 0.75},
    }
    assert tables.left_out_table(figures).splitlines()[2:] == [
        "| Kampala | 0.710 (0.660 to 0.750) | 40 | 0.55 | Kampala block 0 0.700, Kampala block 1 0.740 |",
        "| mean | 0.710 (0.660 to 0.750) |  |  |  |",
    ]
