"""A model whose pyramid reached across its tile, taken over."""

import keras
import numpy as np
import pytest

from building_segmenter.networks import deeplabv3plus
from tools.default_model.narrowing import narrowed


def make_reach_nowhere(network):
    """Leave the pyramid only what does not depend on how far it reaches."""
    for rate in (6, 12, 18):
        layer = network.get_layer(f"aspp_rate{rate}_depthwise")
        kernel = layer.get_weights()[0]
        centre = np.zeros_like(kernel)
        centre[1, 1] = kernel[1, 1]
        layer.set_weights([centre])
    layer = network.get_layer("aspp_pool_conv")
    kernel, bias = layer.get_weights()
    layer.set_weights([0 * kernel, np.linspace(0.5, 1.5, len(bias))])


def answers(network, image):
    return keras.ops.convert_to_numpy(network(image))


def test_where_its_reach_does_not_matter_a_narrowed_model_says_the_same(earlier, save_earlier):
    make_reach_nowhere(earlier)
    network, facts = narrowed(save_earlier(earlier))
    image = np.random.default_rng(1).uniform(0, 255, (1, 96, 96, 3)).astype("float32")
    before = answers(earlier, image)
    assert before.std() > 0.01
    np.testing.assert_allclose(answers(network, image), before, atol=1e-5)
    assert facts.name == "earlier"


def test_each_branch_keeps_its_own_kernels(earlier, save_earlier):
    network, _ = narrowed(save_earlier(earlier))
    for rate, before in ((2, 6), (4, 12), (6, 18)):
        for part in ("depthwise", "depthwise_bn", "pointwise", "pointwise_bn"):
            kept = network.get_layer(f"aspp_rate{rate}_{part}").get_weights()
            for one, other in zip(kept, earlier.get_layer(f"aspp_rate{before}_{part}").get_weights(), strict=True):
                np.testing.assert_array_equal(one, other)


def test_a_model_that_is_narrow_already_is_refused(save_earlier):
    network = deeplabv3plus.build_deeplabv3plus(3, 2, [1 / 127.5] * 3, [-1.0] * 3)
    with pytest.raises(ValueError, match="aspp_rate6"):
        narrowed(save_earlier(network))
