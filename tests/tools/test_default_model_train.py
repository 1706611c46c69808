"""What the shipped model is trained on, and where a model without a town goes."""

from pathlib import Path

import numpy as np
import pytest

from building_segmenter import tasks
from building_segmenter.chips.export import export_chips
from building_segmenter.networks.model_file import load_model, save_model
from building_segmenter.networks.shipped import NAME
from building_segmenter.progress import Progress
from tools.default_model.averaging import averaged
from tools.default_model.blocks import BLOCKS, ROOT, TOWNS, blocks_without, place_of
from tools.default_model.train import TUNING_RATE, outputs_of, parsed, training_of, tuning_of

WORK = Path("work")


@pytest.mark.parametrize("town", TOWNS)
def test_a_town_is_left_out_whole_and_something_still_validates(town):
    left = blocks_without(town)
    assert {block.town for block in left} == set(TOWNS) - {town}
    assert any(block.validates for block in left) and any(not block.validates for block in left)


def test_banepa_is_one_town():
    names = {block.name for block in BLOCKS} - {block.name for block in blocks_without("banepa")}
    assert names == {"banepa_south_0", "banepa_south_1", "centre_0", "north_0"}


def test_nothing_left_out_is_everything_and_goes_to_models():
    assert blocks_without(None) == BLOCKS
    assert outputs_of(None, None, WORK) == (WORK / NAME, ROOT / "models" / NAME)


def test_a_model_without_a_town_stays_in_the_work_folder():
    trained, output = outputs_of(None, "kampala", WORK)
    assert trained == output == WORK / "without-kampala" / NAME
    assert outputs_of(Path("else.keras"), "kampala", WORK)[1] == Path("else.keras")


@pytest.mark.parametrize("place", [ROOT / "models" / NAME, ROOT / "tools" / ".." / "models" / "other.keras"])
def test_a_model_without_a_town_is_refused_a_place_among_the_shipped(place, capsys):
    options = ["--data", "d", "--backbone", "b", "--leave-out", "kampala", "--output", str(place)]
    with pytest.raises(SystemExit):
        parsed(options)
    assert "a model without kampala is for measuring" in capsys.readouterr().err


def test_the_recipe_follows_the_options():
    chosen = parsed(["--data", "d", "--backbone", "b.h5", "--epochs", "3", "--no-resume"])
    options = training_of(["one", "two"], WORK / NAME, chosen)
    assert (options.dataset, options.epochs, options.patience) == (("one", "two"), 3, 3)
    assert (options.backbone_weights, options.head_epochs, options.resume) == ("b.h5", 2, False)
    assert parsed(["--data", "d", "--backbone", "b"]).resume


def test_a_training_is_gone_on_with_from_its_own_model():
    first = training_of(["one"], WORK / NAME, parsed(["--data", "d", "--backbone", "b.h5"]))
    second, third = (tuning_of(first, seed, 7) for seed in (2, 3))
    assert {one.initial_model for one in (second, third)} == {first.output}
    assert len({first.output, second.output, third.output}) == 3
    assert (second.seed, third.seed, second.epochs, second.learning_rate) == (2, 3, 7, TUNING_RATE)


def test_the_mean_of_models_has_the_mean_of_their_weights_and_metrics_of_its_own(
    tmp_path, bright_model, flat_scene, write_image, write_roofs
):
    chips = tmp_path / "chips"
    image, roofs = write_image(flat_scene.image), write_roofs(flat_scene.roofs)
    export_chips(tasks.ExportChips(image, roofs, str(chips), tile_size=64, validation=1.0), Progress())
    network, facts = load_model(bright_model)
    other = tmp_path / "other.keras"
    first = network.get_weights()
    network.set_weights([1.02 * weight for weight in first])
    save_model(network, facts, other)
    mean, told = averaged([Path(bright_model), other], 0.4, [chips])
    for one, weight in zip(mean.get_weights(), first, strict=True):
        np.testing.assert_allclose(one, 1.01 * weight, rtol=1e-6)
    assert told.threshold == 0.4
    assert 0.9 < told.metrics["f1"] <= 1.0  # its roofs are bright
    assert len(told.training["mean_of"]) == 2


def test_a_mosaic_is_joined_once_and_only_whole(tmp_path):
    data, work = tmp_path / "data", tmp_path / "work"
    (data / "hot_oam_7cm" / "kampala").mkdir(parents=True)
    work.mkdir()
    script = data / "make_mosaics.py"
    script.write_text(
        "import pathlib, sys\nfolder = pathlib.Path(sys.argv[2])\n(folder / 'kampala_block1.tif').write_text('half')\n"
        "sys.exit('no room')\n"
    )
    block = next(one for one in BLOCKS if one.name == "kampala_1")
    with pytest.raises(Exception, match="non-zero exit status"):
        place_of(block, data, work)
    assert list(work.iterdir()) == []
    script.write_text(script.read_text().replace("half", "whole").replace("sys.exit('no room')\n", ""))
    place = place_of(block, data, work)
    assert (place.title, place.image.read_text()) == ("Kampala block 1", "whole")
    script.unlink()
    assert place_of(block, data, work) == place
