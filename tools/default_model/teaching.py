"""Give the shipped model a pyramid that does not reach across its tile: it learns what an earlier model says.

usage: python -m tools.default_model.teaching --data FOLDER --earlier MODEL [--work FOLDER] [--output FILE]

The earlier model's weights are taken over (`narrowing`), and then trained on chips of the same blocks with the earlier
model's probabilities in place of labels (Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network",
https://arxiv.org/abs/1503.02531): few steps do, and nothing that it knows is forgotten. Batch norms keep their
statistics: with those of a batch the network learned to agree with its teacher as it is not used.

The model is the mean of several that learned in another order (`averaging`). The shipped one learned so from the one
before it, which the project's history has.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from building_segmenter.networks.facts import ModelFacts, this_moment
from building_segmenter.networks.model_file import load_model, save_model
from building_segmenter.networks.shipped import NAME
from building_segmenter.progress import Progress
from building_segmenter.terminal import TerminalSink
from building_segmenter.training.evaluation import evaluate
from building_segmenter.training.logs import write_history
from building_segmenter.training.loop import Outcome, Plan, Trainer
from building_segmenter.training.losses import Measures
from tools.default_model.blocks import WORK
from tools.default_model.lessons import BATCH, Lessons, lessons_of
from tools.default_model.narrowing import narrowed
from tools.default_model.train import MODELS, chips_of_all, finish, judges_of

EPOCHS, STEPS, SEEDS = 24, 25, (1, 2, 3)
LEARNING_RATE = 0.0003
TAUGHT_THRESHOLD = 0.6
"""Where the earlier model says 0.55: means over eight sides are surer than what it says of a tile."""
_WEIGHT = 4.0


def main() -> None:
    """Run the command."""
    chosen = parsed()
    chosen.work.mkdir(parents=True, exist_ok=True)
    folders, judges = chips_of_all(chosen.data, chosen.work), judges_of(None, chosen.work)
    plan = Plan(chosen.epochs, 0, STEPS, chosen.learning_rate, chosen.epochs, 1.0)
    options = dataclasses.asdict(plan) | {
        "batch_size": BATCH,
        "contacts": chosen.contacts,
        "contact_shift": chosen.contact_shift,
    }
    models = [chosen.work / f"taught-{seed}.keras" for seed in chosen.seeds]
    with TerminalSink() as sink:
        progress = Progress(sink)
        progress.log("Asking the earlier model about the chips.")
        lessons, exams = lessons_of(folders, chosen.earlier), lessons_of(judges, chosen.earlier, "validation")
        begin = load_model(chosen.begin)[0].get_weights() if chosen.begin else None
        for seed, model in zip(chosen.seeds, models, strict=True):
            network, facts, outcome = taught(
                lessons, exams, chosen.earlier, plan, seed, progress, chosen.contacts, begin
            )
            raise_contacts(network, chosen.contact_shift)
            save_model(network, told(facts, outcome, options | {"seed": seed}), model)
            write_history(outcome.history, model.with_suffix(".csv"))
    finish(models, judges, chosen.output, TAUGHT_THRESHOLD, "teaching-further" if chosen.begin else "teaching")


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the command's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--earlier", type=Path, required=True, help="a MobileNetV2 model with the wide pyramid")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--output", type=Path, default=MODELS / NAME)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"of {STEPS} batches")
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE)
    parser.add_argument("--contacts", type=float, default=1.0, help="weight of contacts, beside that of buildings")
    parser.add_argument("--contact-shift", type=float, default=0.0, help="what to add to the logits of contacts")
    parser.add_argument("--begin", type=Path, help="a model that was taught before, to go on from")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="the model is the mean of one for each")
    return parser.parse_args(arguments)


def taught(
    lessons: Lessons,
    exams: Lessons,
    earlier: Path,
    plan: Plan,
    seed: int,
    progress: Progress,
    contacts: float = 1.0,
    begin: Sequence[Any] | None = None,
) -> tuple[keras.Model, ModelFacts, Outcome]:
    """Return an earlier model's network with the present pyramid, taught, its facts, and what each epoch came to.

    Args:
        lessons: What the earlier model says.
        exams: The same of chips that none learned from, on which its agreement is measured after every epoch.
        earlier: The model.
        plan: How long and how fast.
        seed: Of the order of the lessons.
        progress: Told of every step.
        contacts: Weight of contacts, which are thin and rare, beside that of buildings.
        begin: Weights to begin with; None: the earlier model's.

    Returns:
        The network of the last epoch: early ones can agree as well in the mask, and not yet in their probabilities.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    (network, facts), (averaged, _) = narrowed(earlier), narrowed(earlier)
    if begin is not None:
        network.set_weights(begin)
    hold_norms(network)
    hold_norms(averaged)
    loss = partial(disagreement, weights=(1.0, contacts))
    trainer, outcome = Trainer(network, averaged, plan, Measures(loss, overlap)), Outcome()
    last: list[Any] = []

    def keep(_: Outcome) -> None:
        last[:] = averaged.get_weights()

    trainer.fit(
        lambda epoch: lessons.batches(plan.steps, (seed, epoch)),
        (),
        lambda: evaluate(exams.masks(), trainer.predict),
        progress,
        outcome,
        keep,
    )
    averaged.set_weights(last)
    hold_norms(averaged, held=False)  # who trains it further decides anew
    return averaged, facts, outcome


def hold_norms(network: keras.Model, *, held: bool = True) -> None:
    """Let the batch norms of a network keep their statistics and factors in training, or learn."""
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = not held


def raise_contacts(network: keras.Model, shift: float) -> None:
    """Make a network surer of contacts, by a summand of their logits.

    Means over eight sides are flatter where something is thin, so what learns them is less often sure of a contact than
    the default of CONTACT_THRESHOLD asks for.
    """
    layer = network.get_layer("logits")
    kernel, bias = layer.get_weights()
    bias[1] += shift
    layer.set_weights([kernel, bias])


def told(facts: ModelFacts, outcome: Outcome, options: dict[str, Any]) -> ModelFacts:
    """Return the facts of the earlier model as those of the one that it taught."""
    record = {
        "options": options,
        "datasets": facts.training.get("datasets", []),
        "agreement_iou": round(float(outcome.history[-1]["val_iou"]), 4),
        "taught_by": {"created": facts.created, "metrics": facts.metrics, "training": facts.training},
    }
    return dataclasses.replace(facts, threshold=TAUGHT_THRESHOLD, metrics={}, training=record, created=this_moment())


def disagreement(target: Any, logits: Any, weights: Sequence[float] = (1.0, 1.0)) -> Any:
    """Return the mean divergence of probabilities from those of the teacher, weighted by channel.

    Args:
        target: (batch, H, W, channels) logits of the teacher.
        logits: (batch, H, W, channels).
        weights: Of the channels.
    """
    likely = tf.sigmoid(target)
    at_least = tf.nn.sigmoid_cross_entropy_with_logits(likely, target)
    beyond = tf.nn.sigmoid_cross_entropy_with_logits(likely, logits) - at_least
    return _WEIGHT * tf.reduce_sum(tf.reduce_mean(beyond, axis=(0, 1, 2)) * tf.constant(weights))


def overlap(target: Any, logits: Any) -> tuple[Any, Any]:
    """Return the pixels that both and either of the teacher and the network call a building."""
    said, found = (tf.cast(one[..., 0] > 0.0, tf.float32) for one in (target, logits))
    both = tf.reduce_sum(said * found)
    return both, tf.reduce_sum(said) + tf.reduce_sum(found) - both


if __name__ == "__main__":
    main()
