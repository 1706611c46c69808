"""Draw a map of footprints over their image with QGIS. Runs in QGIS's own Python (3.9 or newer), without a screen.

QT_QPA_PLATFORM=offscreen python3 demo/map.py RASTER FOOTPRINTS OUTPUT.png --title TITLE --credits CREDITS
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsCategorizedSymbolRenderer,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFillSymbol,
    QgsLayoutExporter,
    QgsLayoutItemLabel,
    QgsLayoutItemLegend,
    QgsLayoutItemMap,
    QgsLayoutItemScaleBar,
    QgsLayoutMeasurement,
    QgsLayoutPoint,
    QgsLayoutSize,
    QgsLegendRenderer,
    QgsLegendStyle,
    QgsPrintLayout,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsRendererCategory,
    QgsSingleSymbolRenderer,
    QgsUnitTypes,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor, QFont

LONG_SIDE_MM = 270.0
MARGIN_MM = 6.0
HEAD_MM = 13.0
FOOT_MM = 17.0
DPI = 200

REGULARIZED = {"color": "0,229,255,25", "outline_color": "#00e5ff", "outline_width": "0.5"}
KEPT = {"color": "255,145,0,40", "outline_color": "#ff9100", "outline_width": "0.5"}


def main() -> int:
    """Draw the map that the command line asks for; 0 if it was written."""
    parser = argparse.ArgumentParser(description="Draw a map of footprints over their image.")
    parser.add_argument("raster")
    parser.add_argument("footprints")
    parser.add_argument("output")
    parser.add_argument("--title", default="Building footprints")
    parser.add_argument("--credits", default="")
    options = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    application = QgsApplication([], True)
    application.initQgis()
    try:
        problem = draw(options.raster, options.footprints, options.output, options.title, options.credits)
    finally:
        QgsProject.instance().clear()
        application.exitQgis()
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


def draw(raster: str, footprints: str, output: str, title: str, credit_line: str) -> str:
    """Write the map; return what went wrong, or an empty text."""
    image, outlines = QgsRasterLayer(raster, "Image"), QgsVectorLayer(footprints, "Footprints", "ogr")
    for layer, path in ((image, raster), (outlines, footprints)):
        if not layer.isValid():
            return f"QGIS cannot open {path}."
    outlines.setRenderer(_renderer(outlines))
    project = QgsProject.instance()
    project.addMapLayers([image, outlines])
    project.setCrs(_map_crs(image))
    # With an ellipsoid the scale bar shows ground metres, also in web-mercator.
    project.setEllipsoid("EPSG:7030")
    layout = _layout(project, image, outlines, title, credit_line)
    settings = QgsLayoutExporter.ImageExportSettings()
    settings.dpi = DPI
    result = QgsLayoutExporter(layout).exportToImage(output, settings)
    return "" if result == QgsLayoutExporter.ExportResult.Success else f"QGIS cannot write {output}: {result}."


def _renderer(layer: QgsVectorLayer) -> Any:
    regularized, kept = QgsFillSymbol.createSimple(REGULARIZED), QgsFillSymbol.createSimple(KEPT)
    if layer.fields().indexOf("status") < 0:
        return QgsSingleSymbolRenderer(regularized)
    statuses = [feature["status"] for feature in layer.getFeatures()]
    categories = [QgsRendererCategory(0, regularized, f"Regularized ({statuses.count(0)})")]
    if 1 in statuses:
        categories.append(QgsRendererCategory(1, kept, f"Original outline kept ({statuses.count(1)})"))
    return QgsCategorizedSymbolRenderer("status", categories)


def _map_crs(image: QgsRasterLayer) -> QgsCoordinateReferenceSystem:
    """Return the image's CRS, or web-mercator for one in degrees, which would be drawn squeezed."""
    return QgsCoordinateReferenceSystem("EPSG:3857") if image.crs().isGeographic() else image.crs()


def _layout(
    project: QgsProject, image: QgsRasterLayer, outlines: QgsVectorLayer, title: str, credit_line: str
) -> QgsPrintLayout:
    extent = QgsCoordinateTransform(image.crs(), project.crs(), project).transformBoundingBox(image.extent())
    scale = LONG_SIDE_MM / max(extent.width(), extent.height())
    width, height = extent.width() * scale, extent.height() * scale
    layout = QgsPrintLayout(project)
    layout.initializeDefaults()
    page = layout.pageCollection().page(0)
    page.setPageSize(_size(width + 2 * MARGIN_MM, height + HEAD_MM + FOOT_MM + MARGIN_MM))
    view = _map(layout, [outlines, image], extent, width, height)
    bottom = HEAD_MM + height
    _label(layout, title, 15, True, (MARGIN_MM, 3.5), (width, 9))
    _legend(layout, view, outlines, bottom)
    _scale_bar(layout, view, width, bottom)
    _label(layout, credit_line, 7, False, (MARGIN_MM, bottom + 11.5), (width, 8))
    return layout


def _map(layout: QgsPrintLayout, layers: list[Any], extent: QgsRectangle, width: float, height: float) -> Any:
    view = QgsLayoutItemMap(layout)
    layout.addLayoutItem(view)
    view.attemptMove(_point(MARGIN_MM, HEAD_MM))
    view.attemptResize(_size(width, height))
    view.setLayers(layers)
    view.setExtent(extent)
    view.setBackgroundColor(QColor("#dddddd"))
    view.setFrameEnabled(True)
    view.setFrameStrokeWidth(QgsLayoutMeasurement(0.2))
    return view


def _label(
    layout: QgsPrintLayout, text: str, points: int, bold: bool, place: tuple[float, float], size: tuple[float, float]
) -> None:
    label = QgsLayoutItemLabel(layout)
    label.setText(text)
    label.setFont(_font(points, bold))
    layout.addLayoutItem(label)
    label.attemptMove(_point(*place))
    label.attemptResize(_size(*size))


def _legend(layout: QgsPrintLayout, view: Any, outlines: QgsVectorLayer, bottom: float) -> None:
    legend = QgsLayoutItemLegend(layout)
    legend.setLinkedMap(view)
    legend.setAutoUpdateModel(False)
    group = legend.model().rootGroup()
    group.clear()
    node = group.addLayer(outlines)
    # The categories speak for themselves; a layer of one symbol shows its name.
    if outlines.fields().indexOf("status") >= 0:
        QgsLegendRenderer.setNodeLegendStyle(node, QgsLegendStyle.Style.Hidden)
    legend.setColumnCount(2)
    legend.setSplitLayer(True)
    layout.addLayoutItem(legend)
    legend.attemptMove(_point(MARGIN_MM - 2, bottom + 0.5))


def _scale_bar(layout: QgsPrintLayout, view: Any, width: float, bottom: float) -> None:
    bar = QgsLayoutItemScaleBar(layout)
    layout.addLayoutItem(bar)
    bar.setStyle("Single Box")
    bar.setLinkedMap(view)
    bar.setUnits(QgsUnitTypes.DistanceUnit.DistanceMeters)
    bar.setUnitLabel("m")
    bar.setNumberOfSegmentsLeft(0)
    bar.setNumberOfSegments(2)
    bar.setHeight(2.0)
    bar.setUnitsPerSegment(_round_length(bar, view, width))
    bar.update()
    bar.attemptMove(_point(MARGIN_MM + width - bar.rect().width(), bottom + 1))


def _round_length(bar: QgsLayoutItemScaleBar, view: Any, width: float) -> float:
    """Return 1, 2 or 5 times a power of ten metres, near an eighth of the map's width."""
    bar.applyDefaultSize(QgsUnitTypes.DistanceUnit.DistanceMeters)
    bar.setUnitsPerSegment(1.0)
    bar.update()
    millimetres = 1000.0 / view.scale()
    metres = width / 8 / millimetres
    steps = [factor * 10.0**power for power in range(-1, 6) for factor in (1, 2, 5)]
    return max([step for step in steps if step <= metres] or [steps[0]])


def _font(points: int, bold: bool) -> QFont:
    font = QFont("DejaVu Sans", points)
    font.setBold(bold)
    return font


def _point(x: float, y: float) -> QgsLayoutPoint:
    return QgsLayoutPoint(x, y)


def _size(width: float, height: float) -> QgsLayoutSize:
    return QgsLayoutSize(width, height)


if __name__ == "__main__":
    sys.exit(main())
