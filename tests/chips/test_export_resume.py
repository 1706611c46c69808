"""A stopped export goes on, and ends like one that was never stopped."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from building_segmenter.errors import CancelledError, OutputNotWritableError
from building_segmenter.progress import Progress, SilentSink

_spec = importlib.util.spec_from_file_location("chip_scenes", Path(__file__).with_name("chip_scenes.py"))
scenes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scenes)

OPTIONS = {"tile_size": 64, "stride": 48, "rotation": 45.0, "validation": 0.2}


class StoppingSink(SilentSink):
    """Asks to stop once so much is done."""

    def __init__(self, share):
        super().__init__()
        self.share, self.cancelled, self.seen = share, threading.Event(), []

    def progress(self, fraction, stage, eta_s):
        self.seen.append(fraction)
        if fraction >= self.share:
            self.cancelled.set()


@pytest.fixture
def drawn(write_image, write_roofs, flat_scene):
    noise = np.random.default_rng(0).integers(0, 255, flat_scene.image.shape, dtype=np.uint8)
    return write_image(noise), write_roofs(flat_scene.roofs)


def stopped(folder, drawn, share, **options):
    sink = StoppingSink(share)
    with pytest.raises(CancelledError):
        scenes.exported(folder, *drawn, progress=Progress(sink, sink.cancelled), **OPTIONS | options)
    return sink


def content(folder):
    """All files of a folder; of the manifest what does not name times."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("form", ["classified-tiles", "rcnn-masks", "coco", "hdf5"])
def test_a_stopped_export_ends_like_one_that_was_not(tmp_path, drawn, form):
    options = OPTIONS | {"format": form}
    scenes.exported(tmp_path / "whole", *drawn, **options)
    sink = stopped(tmp_path / "chips", drawn, 0.5, format=form)
    assert not (tmp_path / "chips").exists()
    assert any("is kept in" in line for line in sink.logs)
    progress = Progress(StoppingSink(2.0))
    scenes.exported(tmp_path / "chips", *drawn, progress=progress, **options)
    assert any("Going on" in line for line in progress.sink.logs)
    assert progress.sink.seen[0] > 0.3
    one, other = content(tmp_path / "whole"), content(tmp_path / "chips")
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name] and not name.endswith(".h5")] == []
    assert sorted(path.name for path in tmp_path.glob("chips*")) == ["chips"]


def test_a_stopped_export_of_something_else_is_not_gone_on_with(tmp_path, drawn):
    stopped(tmp_path / "chips", drawn, 0.5)
    progress = Progress(StoppingSink(2.0))
    dataset, _ = scenes.exported(tmp_path / "chips", *drawn, progress=progress, **OPTIONS | {"rotation": 0.0})
    assert any("other values of rotation" in line for line in progress.sink.logs)
    assert progress.sink.seen[0] < 0.1
    assert len(list((tmp_path / "chips" / "images").glob("*.tif"))) == len(dataset.chips)


def test_a_changed_input_is_read_again(tmp_path, drawn):
    stopped(tmp_path / "chips", drawn, 0.5)
    os.utime(drawn[0], (1, 1))
    progress = Progress(StoppingSink(2.0))
    scenes.exported(tmp_path / "chips", *drawn, progress=progress, **OPTIONS)
    assert any("other values of input" in line for line in progress.sink.logs)


def test_without_resume_nothing_is_kept(tmp_path, drawn):
    sink = stopped(tmp_path / "chips", drawn, 0.5, resume=False)
    assert not list(tmp_path.glob("*chips*"))
    assert not any("is kept in" in line for line in sink.logs)


def test_a_run_that_did_nothing_leaves_nothing(tmp_path, drawn):
    stopped(tmp_path / "chips", drawn, 0.0)
    assert not list(tmp_path.glob("*chips*"))


def test_the_folder_of_another_is_not_touched(tmp_path, drawn):
    (tmp_path / "chips.partial").mkdir()
    (tmp_path / "chips.partial" / "letter.txt").write_text("dear")
    with pytest.raises(OutputNotWritableError, match="not made by this tool"):
        scenes.exported(tmp_path / "chips", *drawn, **OPTIONS)
    assert (tmp_path / "chips.partial" / "letter.txt").read_text() == "dear"


@pytest.mark.parametrize("torn", ['{"strip": 99, "chi', ""])
def test_a_journal_that_ends_in_the_middle(tmp_path, drawn, torn):
    scenes.exported(tmp_path / "whole", *drawn, **OPTIONS)
    stopped(tmp_path / "chips", drawn, 0.6)
    with (tmp_path / "chips.partial" / "journal.jsonl").open("a") as journal:
        journal.write(torn)
    scenes.exported(tmp_path / "chips", *drawn, **OPTIONS)
    assert content(tmp_path / "whole") == content(tmp_path / "chips")


@pytest.mark.skipif(os.name != "posix", reason="kills with a signal")
def test_a_killed_export_goes_on(tmp_path, drawn):
    scenes.exported(tmp_path / "whole", *drawn, **OPTIONS)
    code = (
        "import sys, json\n"
        "from building_segmenter import tasks\n"
        "from building_segmenter.chips.export import export_chips\n"
        "from building_segmenter.progress import Progress\n"
        "export_chips(tasks.ExportChips(**json.loads(sys.argv[1])), Progress())\n"
    )
    request = {"input": drawn[0], "footprints": drawn[1], "output": str(tmp_path / "chips"), **OPTIONS}
    process = subprocess.Popen([sys.executable, "-c", code, json.dumps(request)], cwd=Path(__file__).parents[2])
    journal = tmp_path / "chips.partial" / "journal.jsonl"
    until = time.monotonic() + 120
    while not (journal.exists() and journal.read_text().count("\n") >= 2):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "chips").exists()
    progress = Progress(StoppingSink(2.0))
    scenes.exported(tmp_path / "chips", *drawn, progress=progress, **OPTIONS)
    assert any("Going on" in line for line in progress.sink.logs)
    assert content(tmp_path / "whole") == content(tmp_path / "chips")
