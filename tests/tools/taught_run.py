"""Teach a model as it is done for the shipped one, where Keras trains; run by test_default_model_teaching."""

import json
import sys
from pathlib import Path

from building_segmenter.networks.deeplabv3plus import with_logits
from building_segmenter.networks.model_file import load_model
from building_segmenter.progress import Progress
from building_segmenter.training.loop import Plan
from tools.default_model.lessons import lessons_of
from tools.default_model.narrowing import narrowed
from tools.default_model.teaching import disagreement, raise_contacts, taught, told

KEPT, LEARNED = "decoder_2_pointwise_bn", "logits"


def main(earlier, chips, result):
    lessons, exams = (lessons_of([chips], Path(earlier), split) for split in ("train", "validation"))
    plan = Plan(3, 0, 15, 0.003, 3, 1.0)
    begin, _ = narrowed(Path(earlier))
    raise_contacts(begin, 1.0)  # it has something to learn
    network, facts, outcome = taught(
        lessons, exams, Path(earlier), plan, 1, Progress(), contacts=2.0, begin=begin.get_weights()
    )
    batch, target = next(iter(lessons.batches(1, (9, 9))))
    before, _ = load_model(earlier)
    changed = {
        name: max(
            float(abs(one - other).max())
            for one, other in zip(
                network.get_layer(name).get_weights(), before.get_layer(name).get_weights(), strict=True
            )
        )
        for name in (KEPT, LEARNED)
    }
    bias = network.get_layer("logits").get_weights()[1]
    raise_contacts(network, 0.25)
    shifted = network.get_layer("logits").get_weights()[1] - bias
    card = told(facts, outcome, {"seed": 1})
    figures = {
        "losses": [row["loss"] for row in outcome.history],
        "disagreement": [
            float(disagreement(target, with_logits(one)(batch, training=False))) for one in (begin, network)
        ],
        "kept": changed[KEPT],
        "learned": changed[LEARNED],
        "held": [layer.name for layer in network.layers if not layer.trainable],
        "agreement": outcome.history[-1]["val_iou"],
        "created": [facts.created, card.created],
        "shifted": shifted.tolist(),
        "threshold": card.threshold,
        "training": card.training,
    }
    Path(result).write_text(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
