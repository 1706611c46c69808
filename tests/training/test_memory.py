"""Memory of a training step, before it is run."""

import pytest

from building_segmenter.errors import OutOfMemoryError
from building_segmenter.training.memory import available_bytes, check_memory, peak_bytes

GB = 10**9


def hint_of(tensors, batch_size, crop, available):
    with pytest.raises(OutOfMemoryError) as caught:
        check_memory(tensors, batch_size, crop, available)
    return caught.value.hint


def test_what_fits_or_is_unknown_passes():
    check_memory(4 * GB, 8, 384, 8 * GB)
    check_memory(400 * GB, 8, 384, None)


def test_proposed_batch_fits_and_one_more_does_not():
    tensors, available = 16 * GB, 8 * GB
    hint = hint_of(tensors, 8, 384, available)
    proposed = int(hint.split("BATCH_SIZE to ")[1].split()[0])
    check_memory(tensors // 8 * proposed, proposed, 384, available)
    with pytest.raises(OutOfMemoryError):
        check_memory(tensors // 8 * (proposed + 1), proposed + 1, 384, available)


def test_smaller_crop_is_proposed_where_one_piece_is_too_much():
    hint = hint_of(16 * GB, 1, 1024, 5 * GB)
    crop = int(hint.split("CROP to ")[1].split(",")[0])
    assert crop % 16 == 0
    check_memory(int(16 * GB * (crop / 1024) ** 2), 1, crop, 5 * GB)


def test_hopeless_machine_is_told_so():
    assert "more memory" in hint_of(16 * GB, 1, 1024, GB // 10)


def test_machine_has_some_memory():
    assert 0 < available_bytes() < 1 << 50


def test_tensors_count_while_they_are_needed():
    tf = pytest.importorskip("tensorflow")
    square = tf.TensorSpec((1000, 1000), tf.float32)

    def chain(x):
        for _ in range(10):
            x = tf.sin(x)
        return x

    def kept(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = chain(x)
        return tape.gradient(y, x)

    # One tensor comes as one goes; a gradient keeps all ten inputs of the sines.
    forward = peak_bytes(tf.function(chain).get_concrete_function(square).graph)
    backward = peak_bytes(tf.function(kept).get_concrete_function(square).graph)
    assert forward == 2 * 4_000_000
    assert 10 * 4_000_000 <= backward <= 14 * 4_000_000
