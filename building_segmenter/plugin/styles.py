"""How results look when QGIS loads them."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsColorRampShader,
    QgsFillSymbol,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsRasterLayer,
    QgsRasterShader,
    QgsRendererCategory,
    QgsSingleBandPseudoColorRenderer,
    QgsSingleSymbolRenderer,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor

_REGULARIZED = {"color": "46,134,193,70", "outline_color": "#1b4f72", "outline_width": "0.4"}
_KEPT = {"color": "230,126,34,90", "outline_color": "#a04000", "outline_width": "0.4"}

# About the golden section: neighbours in the list differ most.
_HUE_STEP = 0.382

_alive: dict[str, QgsProcessingLayerPostProcessorInterface] = {}


def style_on_load(path: str, context: QgsProcessingContext) -> None:
    """Style an output when it is loaded into the project, if it will be."""
    if not context.willLoadLayerOnCompletion(path):
        return
    # QGIS keeps no reference, so the object would be gone when the layer is loaded.
    _alive[path] = _Styler()
    context.layerToLoadOnCompletionDetails(path).setPostProcessor(_alive[path])


def leave_unloaded_if_unreadable(path: str, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> None:
    """Do not load a vector output that this QGIS cannot open, as GeoParquet where GDAL has no driver for it."""
    if not context.willLoadLayerOnCompletion(path) or QgsVectorLayer(path, "", "ogr").isValid():
        return
    feedback.pushWarning(f"{path} is written, but this QGIS cannot open its format, so it is not loaded.")
    leave_unloaded(path, context)


def leave_unloaded(path: str, context: QgsProcessingContext) -> None:
    """Do not load what is no layer, as the folder of outputs of several images."""
    layers = context.layersToLoadOnCompletion()
    if layers.pop(path, None) is not None:
        context.setLayersToLoadOnCompletion(layers)


class _Styler(QgsProcessingLayerPostProcessorInterface):
    def postProcessLayer(self, layer: Any, context: Any, feedback: Any) -> None:
        """Give the layer its style."""
        apply_style(layer)


def apply_style(layer: Any) -> None:
    """Give a layer of footprints or of probabilities its style."""
    if isinstance(layer, QgsVectorLayer):
        layer.setRenderer(_footprints(layer))
    elif isinstance(layer, QgsRasterLayer):
        layer.setRenderer(_probabilities(layer))
    else:
        return
    layer.triggerRepaint()


def _footprints(layer: QgsVectorLayer) -> Any:
    regularized, kept = QgsFillSymbol.createSimple(_REGULARIZED), QgsFillSymbol.createSimple(_KEPT)
    if layer.fields().indexOf("class_name") >= 0:
        return _classes(layer)
    if layer.fields().indexOf("status") < 0:
        return QgsSingleSymbolRenderer(regularized)
    categories = [
        QgsRendererCategory(0, regularized, "Regularized"),
        QgsRendererCategory(1, kept, "Original kept"),
    ]
    return QgsCategorizedSymbolRenderer("status", categories)


def _classes(layer: QgsVectorLayer) -> QgsCategorizedSymbolRenderer:
    """Give every class of land cover a colour."""
    names = sorted(map(str, layer.uniqueValues(layer.fields().indexOf("class_name"))))
    categories = []
    for number, name in enumerate(names):
        colour = QColor.fromHsvF(number * _HUE_STEP % 1.0, 0.75, 0.85)
        fill = {"color": "{},{},{},110".format(*colour.getRgb()[:3]), "outline_color": colour.darker(180).name()}
        categories.append(QgsRendererCategory(name, QgsFillSymbol.createSimple(fill), name))
    return QgsCategorizedSymbolRenderer("class_name", categories)


def _probabilities(layer: QgsRasterLayer) -> QgsSingleBandPseudoColorRenderer:
    ramp = QgsColorRampShader(0.0, 1.0)
    ramp.setColorRampType(QgsColorRampShader.Type.Interpolated)
    ramp.setColorRampItemList(
        [
            QgsColorRampShader.ColorRampItem(0.0, QColor(255, 255, 204, 0), "0"),
            QgsColorRampShader.ColorRampItem(0.25, QColor(254, 217, 118, 110), "0.25"),
            QgsColorRampShader.ColorRampItem(0.5, QColor(253, 141, 60, 180), "0.5"),
            QgsColorRampShader.ColorRampItem(1.0, QColor(177, 0, 38, 220), "1"),
        ]
    )
    shader = QgsRasterShader()
    shader.setRasterShaderFunction(ramp)
    renderer = QgsSingleBandPseudoColorRenderer(layer.dataProvider(), 1, shader)
    renderer.setClassificationMin(0.0)
    renderer.setClassificationMax(1.0)
    return renderer
