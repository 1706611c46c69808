"""The state of a training on disk."""

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from building_segmenter.training.checkpoint import Checkpoint
from building_segmenter.training.loop import Outcome


class Variable:
    """As Keras' variables are."""

    def __init__(self, value):
        self.value = np.asarray(value)

    def __array__(self, dtype=None, copy=None):
        return self.value

    def assign(self, value):
        assert self.value.dtype == np.asarray(value).dtype
        self.value = np.asarray(value)


def variables(shift=0.0):
    return {
        "model": [Variable(np.full((2, 3), 1.5 + shift, np.float32)), Variable(np.array([7, 8], np.uint32))],
        "heads": [Variable(np.int64(4 + shift))],
    }


def outcome(*ious):
    result = Outcome()
    for epoch, iou in enumerate(ious, 1):
        result.add({"epoch": epoch, "val_iou": iou}, None, lambda epoch=epoch: [np.full(2, epoch, np.float32)])
    return result


def test_state_comes_back_as_it_was(tmp_path):
    kept = variables()
    Checkpoint(tmp_path).save(outcome(0.5), kept)
    Checkpoint(tmp_path).save(outcome(0.5, 0.1 + 0.2), kept)
    found = variables(shift=2)
    back = Checkpoint(tmp_path).restore(found)
    assert back.history == [{"epoch": 1, "val_iou": 0.5}, {"epoch": 2, "val_iou": 0.1 + 0.2}]
    assert (back.best_epoch, back.evaluation) == (1, None)
    np.testing.assert_array_equal(back.best_weights[0], [1, 1])
    for group, values in kept.items():
        for one, other in zip(values, found[group], strict=True):
            np.testing.assert_array_equal(one.value, other.value)


def test_nothing_kept_changes_nothing(tmp_path):
    found = variables()
    assert Checkpoint(tmp_path).restore(found) is None
    assert found["heads"][0].value == 4


@pytest.mark.parametrize("write", [1, 2])
def test_kill_while_writing_leaves_the_state_before(tmp_path, monkeypatch, write):
    from building_segmenter.training import checkpoint

    Checkpoint(tmp_path).save(outcome(0.5), variables())
    calls = []

    def dies(file, **arrays):
        calls.append(file)
        if len(calls) == write:
            file.write(b"half of it")
            raise KeyboardInterrupt
        real(file, **arrays)

    real = np.savez
    monkeypatch.setattr(checkpoint.np, "savez", dies)
    with pytest.raises(KeyboardInterrupt):
        Checkpoint(tmp_path).save(outcome(0.5, 0.9), variables(shift=1))
    found = variables(shift=2)
    back = Checkpoint(tmp_path).restore(found)
    assert len(back.history) == 1
    np.testing.assert_array_equal(back.best_weights[0], [1, 1])
    assert found["heads"][0].value == 4


def test_only_the_best_weights_are_kept(tmp_path):
    for ious in ([0.5], [0.5, 0.6], [0.5, 0.6, 0.4]):
        Checkpoint(tmp_path).save(outcome(*ious), variables())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best-2.npz", "state.npz"]
