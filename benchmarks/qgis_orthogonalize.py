"""Run QGIS's native:orthogonalize on a layer; for QGIS's own Python.

usage: qgis_orthogonalize.py INPUT.gpkg OUTPUT.gpkg ANGLE_TOLERANCE SIMPLIFY_TOLERANCE

Prints the processor seconds from a layer in memory to a layer in memory as JSON.
"""

import json
import sys
import time
from typing import Any

from qgis.analysis import QgsNativeAlgorithms
from qgis.core import (
    QgsApplication,
    QgsFeatureRequest,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsVectorFileWriter,
    QgsVectorLayer,
)


def run(name: str, layer: Any, parameters: dict[str, Any]) -> Any:
    """Return the layer that an algorithm makes of a layer."""
    algorithm = QgsApplication.processingRegistry().algorithmById(name).create()
    context = QgsProcessingContext()
    context.setInvalidGeometryCheck(QgsFeatureRequest.GeometryNoCheck)
    result, good = algorithm.run({"INPUT": layer, "OUTPUT": "memory:", **parameters}, context, QgsProcessingFeedback())
    if not good:
        raise SystemExit(f"{name} failed")
    return context.takeResultLayer(result["OUTPUT"])


def main(source: str, target: str, angle: float, simplify: float) -> None:
    """Orthogonalize and print the seconds."""
    QgsApplication.processingRegistry().addProvider(QgsNativeAlgorithms())
    layer = QgsVectorLayer(source, "input", "ogr").materialize(QgsFeatureRequest())
    start = time.process_time()
    if simplify > 0:
        layer = run("native:simplifygeometries", layer, {"METHOD": 0, "TOLERANCE": simplify})
    layer = run("native:orthogonalize", layer, {"ANGLE_TOLERANCE": angle})
    seconds = time.process_time() - start
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "GPKG"
    written = QgsVectorFileWriter.writeAsVectorFormatV2(layer, target, layer.transformContext(), options)
    if written[0] != QgsVectorFileWriter.NoError:
        raise SystemExit(f"cannot write {target}: {written[1]}")
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    application = QgsApplication([], False)
    application.initQgis()
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
