"""The contact sheet shows chips with their labels, in every format, and loads nothing from elsewhere."""

import base64
import io
import re

import numpy as np
import pytest
import shapely
from PIL import Image

from building_segmenter import engine, tasks
from building_segmenter.progress import Progress

FORMATS = tasks.options_of(tasks.ExportChips)["format"].choices


@pytest.fixture
def sheet(tmp_path, write_image, write_roofs):
    def make(form, **options):
        ground = np.full((192, 192, 3), 90, np.uint8)
        houses = [shapely.box(20, 20, 60, 70), shapely.box(60, 20, 90, 70), shapely.box(110, 120, 150, 160)]
        task = tasks.ExportChips(
            input=write_image(ground),
            footprints=write_roofs(houses),
            output=str(tmp_path / "chips & more"),
            report=str(tmp_path / "sheet.html"),
            **{"format": form, "tile_size": 96, "validation": 0.0} | options,
        )
        result = engine.run(task, Progress())
        assert result["report"] == task.report
        html = (tmp_path / "sheet.html").read_text(encoding="utf-8")
        found = re.findall(r'data:image/jpeg;base64,([^"]+)"', html)
        return html, [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in found]

    return make


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_has_a_sheet(sheet, form):
    html, images = sheet(form)
    assert len(images) == (3 if form == "labeled-tiles" else 4)
    assert "chips &amp; more" in html and "building" in html and form in html
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    red = [(image[..., 0].astype(int) - image[..., 1] > 90).sum() for image in images]
    if form == "export-tiles":
        assert sum(red) == 0
    else:
        assert sum(count > 0 for count in red) >= 2


def test_labels_contacts_and_unknown_ground_are_drawn_where_they_are(sheet, tmp_path, write_roofs):
    _, images = sheet("classified-tiles", area=write_roofs([shapely.box(0, 0, 192, 130)], "area.gpkg"))
    first = images[0].astype(int)
    assert first[20:22, 25:50, 0].mean() > 190 and abs(first[5:15, 5:90].mean() - 90) < 6
    assert (first[30:60, 59:61, :2] > 170).mean() > 0.8
    grey = images[2].astype(int)[45:90, 5:90]
    assert 90 < grey.mean() < 140 and grey.std() > 10
    assert abs(images[2].astype(int)[5:25, 5:90].mean() - 90) < 6


def test_a_few_chips_of_many_with_the_rarest_class(sheet):
    html, images = sheet("classified-tiles", tile_size=32, stride=8)
    assert len(images) == 36
    assert "36 of 441 chips" in html
    assert sum((image[..., 0].astype(int) - image[..., 1] > 90).any() for image in images) >= 20
