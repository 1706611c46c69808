"""How results look when QGIS loads them."""

import pytest
from qgis.core import QgsCategorizedSymbolRenderer, QgsFeature, QgsVectorLayer

from building_segmenter.plugin.styles import apply_style


def layer_of(*fields, rows=()):
    layer = QgsVectorLayer("Polygon?" + "&".join(f"field={field}" for field in fields), "layer", "memory")
    assert layer.isValid()
    for values in rows:
        feature = QgsFeature(layer.fields())
        feature.setAttributes(list(values))
        layer.dataProvider().addFeature(feature)
    return layer


def test_classes_have_a_colour_each(qgis_app):
    rows = [(3, "water"), (1, "roof"), (1, "roof"), (2, "Bäume")]
    layer = layer_of("class:integer", "class_name:string", rows=rows)
    apply_style(layer)
    renderer = layer.renderer()
    assert isinstance(renderer, QgsCategorizedSymbolRenderer)
    assert renderer.classAttribute() == "class_name"
    assert [category.value() for category in renderer.categories()] == ["Bäume", "roof", "water"]
    assert len({category.symbol().color().name() for category in renderer.categories()}) == 3


@pytest.mark.parametrize(("fields", "categories"), [(["status:integer"], 2), (["score:double"], None)])
def test_footprints_are_styled_by_status_where_they_have_one(qgis_app, fields, categories):
    layer = layer_of(*fields)
    apply_style(layer)
    renderer = layer.renderer()
    assert isinstance(renderer, QgsCategorizedSymbolRenderer) == (categories is not None)
    if categories:
        assert [category.value() for category in renderer.categories()] == [0, 1]
