"""The training form of a network does what the network does: logits, gradients and statistics of its batch norms."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

NETWORKS = ("mobilenetv2-frozen", "mobilenetv2-learning", "xception-frozen", "convolutions", "sixteen-bits")


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    file = tmp_path_factory.mktemp("form") / "arrays.npz"
    environment = os.environ | {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, str(Path(__file__).with_name("form_runs.py")), str(file)]
    done = subprocess.run(command, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    with np.load(file) as archive:
        return dict(archive)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("part", ["logits", "gradients", "statistics"])
def test_form_calculates_the_same(arrays, network, part):
    expected, found = arrays[f"{network}/as-is/{part}"], arrays[f"{network}/formed/{part}"]
    largest = np.abs(expected).max()
    assert largest > 0.1
    assert expected.std() > 0
    bound = largest * 1e-5
    if network == "sixteen-bits":
        # They are rounded at other places. Processors that lack them round sums on the way, too, by which the network
        # as it is, itself, is further from float32.
        bound = max(largest * 0.02, np.abs(expected - arrays[f"convolutions/as-is/{part}"]).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound)
