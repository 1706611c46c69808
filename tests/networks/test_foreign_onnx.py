"""ONNX networks from elsewhere: what they say, what has to be stated, and what they then compute."""

import dataclasses

import numpy as np
import onnx
import openvino
import pytest
from foreign_networks import logit, onnx_network
from onnx import TensorProto, helper

from building_segmenter.errors import InvalidParameterError, ModelError, UnsafeModelError
from building_segmenter.networks.foreign.model import onnx_model
from building_segmenter.networks.foreign.scaling import AS_THEY_ARE
from building_segmenter.networks.foreign.stated import Stated
from building_segmenter.networks.inspection import inspect_model

STATED = Stated(gsd=0.2, scaling="none")
DEEPNESS = {"model_type": "Segmentor", "resolution": 30}


@pytest.fixture
def image():
    return np.random.default_rng(3).integers(0, 256, (64, 64, 3)).astype(np.float32)


@pytest.fixture
def load(tmp_path):
    """Return a network as a model from elsewhere, by way of a file."""

    def run(network, stated=STATED, **changes):
        onnx.save(network, tmp_path / "elsewhere.onnx")
        return onnx_model(tmp_path / "elsewhere.onnx", dataclasses.replace(stated, **changes))

    return run


def answer(model, image):
    compiled = openvino.Core().compile_model(model.graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(image[None])[0][0]


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def softmax(values):
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("tail", [("Sigmoid",), ("Sigmoid", "Identity"), ()])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("side", "tile_size"), [(64, None), (64, 64), (None, 64)])
def test_layout_size_and_activation_are_told_by_the_graph(load, image, tail, last, side, tile_size):
    model = load(onnx_network(tail, last=last, side=side, batch="free" if last else 1), tile_size=tile_size)
    np.testing.assert_allclose(answer(model, image)[..., 0], sigmoid(logit(image)), atol=1e-6)
    facts = model.facts
    assert (facts.gsd, facts.tile_size, len(facts.bands), facts.channels) == (0.2, 64, 3, ("building",))
    assert (facts.dtype, facts.threshold, facts.activation) == (AS_THEY_ARE, 0.5, "sigmoid")


def test_an_output_without_channels(load, image):
    model = load(onnx_network(flat=True))
    np.testing.assert_allclose(answer(model, image)[..., 0], sigmoid(logit(image)), atol=1e-6)


@pytest.mark.parametrize(
    ("tail", "output"),
    [(("Softmax",), None), (("LogSoftmax",), None), ((), "logits-softmax"), (("Relu", "Softmax"), "probabilities")],
)
def test_the_wanted_class_of_several(load, image, tail, output):
    model = load(onnx_network(tail, channels=3), output=output, wanted="2")
    logits = logit(image)[..., None] * [1, 2, 3]
    expected = softmax(np.maximum(logits, 0) if "Relu" in tail else logits)[..., 1]
    np.testing.assert_allclose(answer(model, image)[..., 0], expected, atol=1e-6)
    assert model.facts.channels == ("building",)


def test_several_logits_that_do_not_exclude_each_other(load, image):
    model = load(onnx_network((), channels=3), output="logits-sigmoid", wanted="3")
    np.testing.assert_allclose(answer(model, image)[..., 0], sigmoid(3 * logit(image)), atol=1e-6)


@pytest.mark.parametrize(
    ("scaling", "means", "deviations", "taken"),
    [
        ("unit", None, None, lambda pixel: pixel / 255),
        ("symmetric", None, None, lambda pixel: pixel / 127.5 - 1),
        ("none", (100.0,), (50.0,), lambda pixel: (pixel - 100) / 50),
        ("unit", (0.1, 0.2, 0.3), (0.5,), lambda pixel: (pixel / 255 - [0.1, 0.2, 0.3]) / 0.5),
        ("imagenet", None, None, lambda pixel: (pixel / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
    ],
)
def test_scaling(load, image, scaling, means, deviations, taken):
    model = load(onnx_network(), scaling=scaling, means=means, deviations=deviations)
    np.testing.assert_allclose(answer(model, image)[..., 0], sigmoid(logit(taken(image))), atol=1e-6)
    assert model.statistics_known == (means is not None or scaling == "imagenet")
    if model.statistics_known:
        middle = np.array([band.mean for band in model.facts.bands])
        edge = middle + [band.stddev for band in model.facts.bands]
        np.testing.assert_allclose([taken(middle), taken(edge)], [[0.0] * 3, [1.0] * 3], atol=1e-9)


def test_a_network_of_bytes_needs_no_scaling_and_gets_rounded_values(load, image):
    model = load(onnx_network(kind=TensorProto.UINT8), scaling=None)
    np.testing.assert_allclose(answer(model, image + 0.4)[..., 0], sigmoid(logit(image)), atol=1e-6)
    assert model.facts.dtype == "uint8"
    with pytest.raises(InvalidParameterError, match="as bytes"):
        load(onnx_network(kind=TensorProto.UINT8), scaling="unit")


def test_metadata_for_deepness_say_what_is_needed(load, image):
    names = {"0": "_background", "1": "roof"}
    said = {"class_names": names, "tile_size": 64, "tiles_overlap": 40, "seg_thresh": 0.3}
    standard = {"standardization_mean": [0.4, 0.4, 0.4], "standardization_std": [0.2, 0.2, 0.2]}
    network = onnx_network(("Softmax",), channels=2, side=None, metadata={**DEEPNESS, **said, **standard})
    model = load(network, Stated())
    taken = (image / 255 - 0.4) / 0.2
    np.testing.assert_allclose(
        answer(model, image)[..., 0], softmax(logit(taken)[..., None] * [1, 2])[..., 1], atol=1e-6
    )
    facts = model.facts
    assert (facts.gsd, facts.tile_size, facts.threshold, facts.channels) == (0.3, 64, 0.3, ("roof",))
    assert (facts.dtype, model.overlap, model.statistics_known) == ("uint8", 0.4, True)
    assert facts.bands[0].mean == pytest.approx(0.4 * 255) and facts.bands[0].stddev == pytest.approx(0.2 * 255)


def test_parameters_go_before_metadata(load, image):
    network = onnx_network(("Softmax",), channels=3, metadata={**DEEPNESS, "class_names": ["a", "b", "c"]})
    model = load(network, Stated(), gsd=0.5, scaling="none", wanted="B")
    assert (model.facts.gsd, model.facts.channels) == (0.5, ("b",))
    np.testing.assert_allclose(
        answer(model, image)[..., 0], softmax(logit(image)[..., None] * [1, 2, 3])[..., 1], atol=1e-6
    )


def test_old_class_names_and_a_single_channel_named_with_the_background(load):
    network = onnx_network(metadata=DEEPNESS)
    helper.set_model_props(network, {"resolution": "30", "class_names": "{0: 'background', 1: 'field'}"})
    assert load(network, Stated()).facts.channels == ("field",)


@pytest.mark.parametrize("names", [["background", "road", "tree"], None])
def test_all_classes(load, image, names):
    network = onnx_network(("Softmax",), channels=3, metadata={**DEEPNESS, **({"class_names": names} if names else {})})
    model = load(network, Stated(scaling="none", wanted="all"))
    expected = softmax(logit(image)[..., None] * [1, 2, 3])
    if names is None:
        expected = np.concatenate([np.zeros((64, 64, 1)), expected], axis=-1)
        assert model.facts.channels == ("background", "class 1", "class 2", "class 3")
    else:
        assert model.facts.channels == ("background", "road", "tree")
    np.testing.assert_allclose(answer(model, image), expected, atol=1e-6)
    assert model.facts.is_multiclass
    assert [one["value"] for one in model.facts.classes] == list(range(1, len(model.facts.channels)))


@pytest.mark.parametrize(
    ("facts", "changes", "named"),
    [
        ({"side": None}, {"gsd": None, "scaling": None}, ["MODEL_GSD", "MODEL_TILE_SIZE", "MODEL_SCALING"]),
        ({}, {"gsd": None}, ["MODEL_GSD"]),
        ({"tail": (), "channels": 2}, {"wanted": "1"}, ["MODEL_OUTPUT"]),
        ({"tail": ("Relu",)}, {}, ["MODEL_OUTPUT"]),
        ({"tail": ("Softmax",)}, {}, ["MODEL_OUTPUT"]),
        ({"tail": ("Softmax",), "channels": 2}, {}, ["MODEL_CLASS"]),
        ({"tail": ("Sigmoid",), "channels": 2}, {}, ["MODEL_CLASS"]),
        ({"bands": 6}, {}, ["MODEL_LAYOUT"]),
        ({"bands": 3, "side": 3}, {}, ["MODEL_LAYOUT"]),
    ],
)
def test_what_is_missing_is_named(load, facts, changes, named):
    with pytest.raises(InvalidParameterError) as caught:
        load(onnx_network(**facts), **changes)
    assert all(name in caught.value.hint for name in named)
    assert "elsewhere.onnx" in caught.value.message


@pytest.mark.parametrize(
    ("facts", "changes", "words"),
    [
        ({}, {"tile_size": 128}, "MODEL_TILE_SIZE is 128.*64 px only"),
        ({}, {"layout": "channels-last"}, "MODEL_LAYOUT is channels-last"),
        ({}, {"output": "logits-sigmoid"}, "ends in a sigmoid"),
        ({"tail": ()}, {"output": "probabilities"}, "without bounds"),
        ({"tail": ()}, {"output": "logits-softmax"}, "one class only"),
        ({"channels": 2}, {"wanted": "3"}, "no such class"),
        ({"channels": 2}, {"wanted": "all"}, "do not exclude each other"),
        ({}, {"means": (1.0, 2.0)}, "MODEL_MEANS has 2 numbers"),
        ({}, {"deviations": (0.0,)}, "divided by it"),
        ({"bands": 4}, {"scaling": "imagenet"}, "takes 4 bands"),
        ({"metadata": {"model_type": "Detector"}}, {}, "is a Detector"),
        ({"metadata": {"resolution": "x"}}, {}, "resolution is"),
        ({"metadata": {"resolution": 30, "class_names": {"0": "a", "2": "b"}}}, {}, "class_names"),
    ],
)
def test_contradictions_are_refused(load, facts, changes, words):
    with pytest.raises((InvalidParameterError, ModelError), match=words) as caught:
        load(onnx_network(**facts), **changes)
    assert caught.value.hint


def test_a_stated_layout_where_shapes_do_not_tell(load, image):
    model = load(onnx_network(bands=6), layout="channels-first")
    assert len(model.facts.bands) == 6
    six = np.concatenate([image, image], axis=-1)
    np.testing.assert_allclose(answer(model, six)[..., 0], sigmoid(logit(image)), atol=1e-6)


def test_an_output_smaller_than_the_tile_is_refused(load):
    network = onnx_network(())
    network.graph.node[-1].attribute.append(helper.make_attribute("strides", [2, 2]))
    network.graph.output[0].CopyFrom(helper.make_tensor_value_info("result", TensorProto.FLOAT, [1, 1, 32, 32]))
    with pytest.raises(ModelError, match="64 x 64 px into 1 x 1 x 32 x 32"):
        load(network)


def test_the_numbers_of_classes_are_refused(load):
    network = onnx_network(("ArgMax",), channels=3)
    network.graph.output[0].CopyFrom(helper.make_tensor_value_info("result", TensorProto.INT64, [1, 1, 64, 64]))
    with pytest.raises(ModelError, match="i64"):
        load(network)


def test_weights_in_other_files_are_refused_wherever_they_are(load, tmp_path):
    weight = onnx.numpy_helper.from_array(np.ones(3, np.float32), "far")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="secret.bin")
    for place in ("initializer", "constant in a node"):
        network = onnx_network()
        if place == "initializer":
            network.graph.initializer.append(weight)
        else:
            inner = helper.make_graph([helper.make_node("Constant", [], ["far"], value=weight)], "inner", [], [])
            network.graph.node.append(helper.make_node("If", ["image"], ["x"], then_branch=inner, else_branch=inner))
        with pytest.raises(UnsafeModelError, match="other files"):
            load(network)
        with pytest.raises(UnsafeModelError, match="other files"):
            inspect_model(tmp_path / "elsewhere.onnx")


def test_unknown_operators_and_several_outputs_are_told(load):
    network = onnx_network(("Magic",))
    with pytest.raises(ModelError, match="Magic"):
        load(network)
    network = onnx_network()
    network.graph.output.append(helper.make_tensor_value_info("Conv0", TensorProto.FLOAT, [1, 1, 64, 64]))
    with pytest.raises(ModelError, match="1 inputs and 2 outputs"):
        load(network)


def enlarged(mode, sigmoid_first):
    """Return a network that works at half the size and enlarges to that of its input, as exports of PyTorch do."""
    sizes = [("Shape", ["image"], {}), ("Gather", ["Shape1", "sides"], {}), ("Concat", ["one", "Gather2"], {"axis": 0})]
    resize = {"mode": mode, "coordinate_transformation_mode": "half_pixel"}
    steps = [("Conv", ["image", "kernel", "bias"], {"strides": [2, 2]}), *sizes]
    if sigmoid_first:
        steps += [("Sigmoid", ["Conv0"], {}), ("Resize", ["Sigmoid4", "", "", "Concat3"], resize)]
    else:
        steps += [("Resize", ["Conv0", "", "", "Concat3"], resize), ("Sigmoid", ["Resize4"], {})]
    nodes = [helper.make_node(kind, given, [f"{kind}{n}"], **more) for n, (kind, given, more) in enumerate(steps)]
    weights = {
        "kernel": np.full((1, 3, 2, 2), 0.05 / 12, np.float32),
        "bias": np.array([-7.0], np.float32),
        "sides": np.array([2, 3]),
        "one": np.array([1, 1]),
    }
    graph = helper.make_graph(
        nodes,
        "enlarged",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "height", "width"])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, [1, 1, "rows", "columns"])],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("sigmoid_first", [False, True])
def test_a_result_enlarged_to_a_size_that_is_computed(load, mode, sigmoid_first):
    model = load(enlarged(mode, sigmoid_first), tile_size=96)
    assert "probabilities of building" in model.told
    even = np.full((96, 96, 3), 160.0, np.float32)
    np.testing.assert_allclose(answer(model, even)[..., 0], sigmoid(logit(even)), atol=1e-6)


def test_probabilities_enlarged_along_a_curve_may_be_none(load):
    with pytest.raises(InvalidParameterError, match="MODEL_OUTPUT"):
        load(enlarged("cubic", sigmoid_first=True), tile_size=96)
    assert load(enlarged("cubic", sigmoid_first=False), tile_size=96).facts.channels == ("building",)
