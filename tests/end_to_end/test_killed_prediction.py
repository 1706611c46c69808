"""Prediction killed by SIGKILL, again and again: the file ends with the bytes of a run that nothing disturbed."""

import json
import os
import signal
import time

import numpy as np
import pytest
import rasterio
from affine import Affine
from end_to_end_runs import assert_refused, files_under, outcome_of, outcome_of_command, run_task, start_command

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")

UTM = Affine(0.15, 0, 740000, 0, -0.15, 3700000)


@pytest.fixture
def tall_image(write_image):
    """An image of noise, of some seconds and eight blocks of finished rows."""
    pixels = np.random.default_rng(4).integers(0, 255, (5000, 1600, 3)).astype(np.uint8)
    return write_image(pixels, "tall.tif", transform=UTM)


def blocks_of(output):
    return len(list(output.with_name(f"{output.name}.partial").glob("result/*.rows")))


def killed(words, ready, seconds=120):
    """Start a command, kill it when it is ready to be; returns its exit status, and what it said."""
    process = start_command(*words)
    try:
        until = time.monotonic() + seconds
        while process.poll() is None and not ready():
            assert time.monotonic() < until
            time.sleep(0.002)
        process.kill()
        said, _ = process.communicate(timeout=20)
        return process.returncode, said
    finally:
        process.kill()
        process.wait()


def test_killed_twice_and_restarted_it_ends_with_the_same_bytes(tmp_path, tall_image, bright_model):
    output, facts = tmp_path / "øut put.tif", {"input": tall_image, "model": bright_model}
    words = ("segment", tall_image, output, "--model", bright_model)
    for block in (2, 5):
        status, said = killed(words, lambda block=block: blocks_of(output) >= block)
        assert status == -signal.SIGKILL, said
        assert blocks_of(output) >= block
        assert not output.exists()
    run_task("segment", output=str(tmp_path / "whole.tif"), **facts)
    run_task("segment", output=str(output), **facts)
    assert output.read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tall.tif", "whole.tif", "øut put.tif"]


@pytest.mark.slow
def test_killed_at_a_random_moment_twenty_times_in_a_row(tmp_path, tall_image, bright_model):
    output = tmp_path / "out.tif"
    words = ("segment", tall_image, output, "--model", bright_model)
    began = time.monotonic()
    assert outcome_of_command("segment", tall_image, tmp_path / "whole.tif", "--model", bright_model).status == 0
    seconds, random, kills, rows = time.monotonic() - began, np.random.default_rng(8), 0, []
    while kills < 20:
        moment = time.monotonic() + random.uniform(0, seconds)
        status, said = killed(words, lambda moment=moment: time.monotonic() > moment)
        kills += status == -signal.SIGKILL
        rows.append(blocks_of(output))
        assert status in (0, -signal.SIGKILL), said
        if output.exists():
            # Done before the moment, or just then: begin again.
            assert output.read_bytes() == (tmp_path / "whole.tif").read_bytes()
            output.unlink()
    assert max(rows) > 0
    assert outcome_of_command(*words).status == 0
    assert output.read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.tif", "tall.tif", "whole.tif"]


def test_a_cancelled_command_tells_where_the_work_is_kept(tmp_path, tall_image, bright_model):
    output = tmp_path / "out.gpkg"
    process = start_command("extract", tall_image, output, "--model", bright_model)
    try:
        while not blocks_of(output):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, said
    assert "out.gpkg.partial: the same run goes on from there" in said
    assert blocks_of(output)
    manifest = json.loads((tmp_path / "out.gpkg.partial" / "resume.json").read_text())
    assert manifest["input"][0]["name"] == tall_image
    assert {"engine", "model", "overlap", "inference_precision"} <= manifest.keys()
    assert not {"threshold", "method", "output", "resume", "threads"} & manifest.keys()


def test_a_full_disk_keeps_what_is_done_and_a_larger_one_ends_it(disk, tmp_path, tall_image, bright_model):
    facts = {"input": tall_image, "model": bright_model}
    run_task("segment", output=str(tmp_path / "whole.tif"), **facts)
    with disk(4096) as folder:
        output = folder / "out.tif"
        outcome = outcome_of("segment", output=str(output), **facts)
        assert_refused(outcome, "disk-full")
        assert blocks_of(output)
        assert not any(name.endswith(".tmp") for name in files_under(folder))
        assert os.system(f"mount -o remount,size=65536k '{folder}'") == 0
        run_task("segment", output=str(output), **facts)
        assert output.read_bytes() == (tmp_path / "whole.tif").read_bytes()
        assert files_under(folder) == ["out.tif"]


def test_an_image_that_breaks_off_keeps_what_is_above(tmp_path, tall_image, bright_model):
    with rasterio.open(tall_image) as dataset:
        size = int(dataset.get_tag_item("BLOCK_OFFSET_0_3000", "TIFF", bidx=1))
    os.truncate(tall_image, size)
    output = tmp_path / "out.tif"
    outcome = outcome_of_command("segment", tall_image, output, "--model", bright_model)
    assert (outcome.status, outcome.code) == (1, "input-unreadable"), outcome
    assert "tall.tif cannot be read at rows 29" in outcome.said
    assert outcome.hint
    assert blocks_of(output) >= 3
