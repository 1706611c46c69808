"""Exports saved networks, folded, to OpenVINO and asks them, where Keras' backend is OpenVINO.

Run by test_backbones in a process of its own. Usage: exported_runs.py FOLDER NAME... Reads NAME.keras and the image of
NAME.npz in FOLDER, leaves NAME-exported.npz.
"""

import sys
from pathlib import Path

sys.modules["openvino_telemetry"] = None

import keras  # noqa: E402
import numpy as np  # noqa: E402
import openvino  # noqa: E402

from building_segmenter.networks.folding import for_prediction  # noqa: E402


def main(folder, names):
    for name in names:
        network = keras.saving.load_model(folder / f"{name}.keras", compile=False)
        folded = for_prediction(network)
        path = str(folder / f"{name}.xml")
        signature = [keras.InputSpec(shape=(1, 64, 64, 3), dtype="float32")]
        folded.export(path, format="openvino", input_signature=signature, verbose=False)
        graph = openvino.Core().read_model(path)
        compiled = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        with np.load(folder / f"{name}.npz") as arrays:
            answer = compiled(arrays["image"])[0]
        norms = sum(isinstance(layer, keras.layers.BatchNormalization) for layer in folded.layers)
        np.savez(folder / f"{name}-exported.npz", answer=answer, norms=norms, transposed=len(moved(graph)))


def moved(graph):
    """Planes, not kernels, that are moved about."""
    transposes = [op for op in graph.get_ops() if op.get_type_name() == "Transpose"]
    return [op for op in transposes if op.input_value(0).get_node().get_type_name() != "Constant"]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
