"""Several images: what may be given as INPUT and IMAGES, and what crosses the border."""

import json

import pytest
from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterFileWriter,
    QgsRectangle,
)

from building_segmenter import errors


@pytest.fixture
def place(tmp_path):
    """A folder with two images, and an empty one for outputs in it."""
    crs = QgsCoordinateReferenceSystem("EPSG:32633")
    for number in (1, 2):
        box = QgsRectangle(500000 + 10 * number, 4500000, 500010 + 10 * number, 4500010)
        assert (
            QgsRasterFileWriter(str(tmp_path / f"{number}.tif")).createOneBandRaster(
                Qgis.DataType.Byte, 10, 10, box, crs
            )
            is not None
        )
    (tmp_path / "out").mkdir()
    return tmp_path


def sent(provider, fake_worker, parameters, context=None):
    """Return the options that reach the worker, and the results."""
    kept, instance = fake_worker(), provider.algorithm("segmentraster").create()
    context = context or QgsProcessingContext()
    context.setProject(QgsProject.instance())
    accepted, message = instance.checkParameterValues(parameters, context)
    if not accepted:
        raise QgsProcessingException(message)
    results, succeeded = instance.run(parameters, context, QgsProcessingFeedback(False), {}, False)
    assert succeeded
    return json.loads(kept.read_text(encoding="utf-8"))["options"], results


@pytest.mark.parametrize("name", ["", "*.tif", "list.txt"])
def test_input_may_be_a_folder_a_pattern_or_a_list(provider, fake_worker, place, name):
    (place / "list.txt").write_text("1.tif\n2.tif\n")
    source, folder = str(place / name) if name else str(place), str(place / "out")
    options, results = sent(provider, fake_worker, {"INPUT": source, "OUTPUT": folder})
    assert (options["input"], options["images"], options["output"]) == (source, None, folder)
    assert results["OUTPUT"] == folder


def test_images_are_layers_files_folders_and_what_cannot_be_read(provider, fake_worker, place):
    images = [str(place / "1.tif"), str(place / "*.tif"), str(place / "gone.tif")]
    pattern = str(place / "out" / "*_p.tif")
    options, _ = sent(provider, fake_worker, {"IMAGES": images, "OUTPUT": pattern, "EXTENT": "0,5,1,6"})
    assert (options["input"], options["images"], options["output"]) == (None, images, pattern)
    assert options["extent"] == [0, 1, 5, 6]


def test_a_mosaic_has_one_output(provider, fake_worker, place):
    output = str(place / "p.tif")
    options, _ = sent(provider, fake_worker, {"INPUT": str(place), "COMBINE": "mosaic", "OUTPUT": output})
    assert (options["combine"], options["output"]) == ("mosaic", output)


def test_one_image_crosses_as_ever(provider, fake_worker, place):
    image = str(place / "1.tif")
    options, _ = sent(provider, fake_worker, {"INPUT": image, "OUTPUT": str(place / "p.tif")})
    assert (options["input"], options["images"]) == (image, None)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"OUTPUT": "p.tif"}, "OUTPUT, .*p.tif, is not a folder"),
        ({"OUTPUT": "TEMPORARY_OUTPUT"}, "OUTPUT, temporary, is not a folder"),
        ({"OUTPUT": "out/*.jpg"}, "ending .jpg"),
        ({"OUTPUT": "out", "IMAGES": ["1.tif"]}, "INPUT, .*and IMAGES are both given"),
        ({"OUTPUT": "out", "EXTENT": "15,16,40,41 [EPSG:4326]"}, "EXTENT has a CRS"),
    ],
)
def test_what_cannot_be_is_refused(provider, fake_worker, place, parameters, said):
    output = parameters["OUTPUT"]
    parameters = {**parameters, "INPUT": str(place), "OUTPUT": output if "_" in output else str(place / output)}
    with pytest.raises(QgsProcessingException, match=said):
        sent(provider, fake_worker, parameters)


def test_every_error_of_the_engine_can_be_told_in_qgis():
    """The client makes them anew from code, message and hint."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert errors.ImagesFailedError in kinds
    for kind in kinds:
        assert kind("what", "next").hint == "next"
