"""The page of a model tells what its file says, in words, and nothing in a file becomes part of the page."""

import dataclasses
import re

import pytest

from building_segmenter import tasks
from building_segmenter.networks.facts import BandFacts, ModelFacts
from building_segmenter.networks.inspection import ModelFile, inspect_model
from building_segmenter.networks.shipped import default_model_path
from building_segmenter.progress import Progress
from building_segmenter.reports.model import describe_model, render_model_page

EVIL = "<script>alert(1)</script>"
FACTS = ModelFacts(
    name=f"Town {EVIL}",
    architecture=f"DeepLabV3+ {EVIL}",
    bands=(BandFacts(f"red {EVIL}", 1.0, 254.0, 101.25, 51.5), BandFacts("nir", 0.0, 250.0, 90.0, 40.0)),
    dtype="uint8",
    scale=(0.0078, 0.0079),
    offset=(-1.0, -1.1),
    gsd=0.1432,
    tile_size=512,
    channels=("building", "contact"),
    classes=({"value": 1, "name": f"building {EVIL}"},),
    threshold=0.57,
    created="2026-01-02T03:04:05Z",
    metrics={"iou": 0.7812, "odd_metric": 0.25},
    training={
        "options": {"dataset": ["a & b"], "epochs": 24, "report": None},
        "datasets": [{"folder": f"a {EVIL}", "training_chips": 1234}, {"folder": "b", "gsd": [0.15, 0.16]}],
        "best_epoch": 22,
        "curve": [{"chips": 10, "iou": 0.5}],
        "versions": {"keras": "3.15.1"},
    },
    credits=f"someone {EVIL}",
    licence="CC-BY-4.0",
)
PLANE = {"name": "image", "shape": [None, 512, 512, 2], "type": "float32"}
OURS = ModelFile("/m/town.keras", "Keras archive with facts", 7005305, "ab12", [PLANE], [PLANE], 1595954, facts=FACTS)
FOREIGN = ModelFile(f"/m/{EVIL}.onnx", "ONNX", 10, "cd", [PLANE], [], 6, {EVIL: 2}, {EVIL: EVIL})


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def test_the_page_tells_all_facts():
    text = text_of(render_model_page(OURS))
    for fact in (
        "0.1432 m",
        "512 x 512 px, 73.3 m on the ground",
        "0.57: a pixel of this probability or more",
        "101.2 51.5 0.0078 -1",
        "Channel Probability of 1 building 2 contact",
        "IoU of buildings 0.7812",
        "Odd metric 0.25",
        "Folder Training chips GSD [m] a",
        "1,234",
        "0.15, 0.16",
        "Best epoch 22",
        "EPOCHS 24",
        "keras 3.15.1",
        "no: started at random",
        "CC-BY-4.0",
        "any x 512 x 512 x 2",
        "1,595,954 weights",
        "7.01 MB (7,005,305 bytes)",
        "ab12",
    ):
        assert fact in text, fact


@pytest.mark.parametrize("model", [OURS, FOREIGN])
def test_nothing_of_a_file_becomes_markup_and_nothing_is_fetched(model):
    page = render_model_page(model)
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not re.search(r"(src|href)=", page)


def test_a_model_of_several_classes_has_no_threshold():
    classes = ({"value": 2, "name": "roof"}, {"value": 5, "name": "road"})
    channels = ("background", "roof", "road")
    facts = dataclasses.replace(FACTS, activation="softmax", channels=channels, classes=classes, metrics={})
    text = text_of(render_model_page(dataclasses.replace(OURS, facts=facts)))
    assert "the class that is most probable" in text and "0.57" not in text
    assert "Classes of the labels Value Name 2 roof 5 road" in text
    assert "The file states none." in text


def test_a_model_from_elsewhere_says_what_it_lacks():
    text = text_of(render_model_page(FOREIGN))
    assert "are not in the file" in text and "Metadata" in text and "Training" not in text


def test_the_task_writes_the_page_of_the_shipped_model_and_tells_the_same(tmp_path):
    output = tmp_path / "mödel.html"
    result = describe_model(tasks.DescribeModel(output=str(output)), Progress())
    told = inspect_model(default_model_path())
    assert result == {"output": str(output), **dataclasses.asdict(told)}
    text = text_of(output.read_text(encoding="utf-8"))
    assert told.facts.name in text and told.sha256 in text and f"{told.parameters:,} weights" in text


def test_a_detector_is_told_in_words_of_objects():
    facts = dataclasses.replace(
        FACTS,
        kind="instance-segmentation",
        channels=("house", "shed"),
        metrics={"ap50": 0.81, "ap75": 0.6, "precision": 0.9},
        network={"BACKBONE": "mobilenetv2", "NUM_CLASSES": 3, "RPN_ANCHOR_SCALES": [16, 32]},
    )
    text = text_of(render_model_page(dataclasses.replace(OURS, facts=facts)))
    for fact in (
        "0.57: an object of this score or more",
        "AP50 0.81 average precision of objects",
        "Precision 0.9 share of the objects found",
        "Number Class 1 house 2 shed",
        "RPN_ANCHOR_SCALES 16, 32",
    ):
        assert fact in text, fact
    assert "pixel of this probability" not in text
