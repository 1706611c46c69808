"""A long run, and disks that are too small."""

import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

# The tests of this folder share end_to_end_runs.py.
sys.path.insert(0, str(Path(__file__).parent))

UTM = Affine(0.15, 0, 740000, 0, -0.15, 3700000)


@pytest.fixture(scope="session")
def endless_image(tmp_path_factory):
    """An image that takes minutes to search: 40,000 x 40,000 pixels, none of them stored."""
    path = tmp_path_factory.mktemp("endless") / "endless.tif"
    profile = {"width": 40000, "height": 40000, "count": 3, "dtype": "uint8", "tiled": True, "sparse_ok": True}
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32616", transform=UTM, compress="deflate", **profile):
        pass
    return str(path)


@pytest.fixture
def noise(write_image):
    """An image of noise, whose probabilities hardly compress."""
    pixels = np.random.default_rng(3).integers(90, 190, (500, 600, 3)).astype(np.uint8)
    return write_image(pixels, "noise.tif", transform=UTM)


@pytest.fixture
def disk(tmp_path):
    """Give a folder on a disk of its own of so many KiB; skips where none can be mounted."""
    mounted = []

    @contextmanager
    def mount(kib, options=""):
        if not sys.platform.startswith("linux") or shutil.which("mount") is None:
            pytest.skip("a small disk can only be mounted on Linux")
        folder = tmp_path / f"disk of {kib} KiB, {len(mounted)}"
        folder.mkdir()
        size = f"size={kib}k{options}"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", folder], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted: {done.stderr.decode().strip()}")
        mounted.append(folder)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)

    return mount
