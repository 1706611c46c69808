"""The one-file model: what goes in comes out, and what could do harm never reaches Keras."""

import io
import json
import os
import zipfile

import h5py
import keras
import numpy as np
import pytest

from building_segmenter.errors import (
    InputNotFoundError,
    ModelError,
    OutputNotWritableError,
    UnsafeModelError,
)
from building_segmenter.networks import model_file, safety, shipped
from building_segmenter.networks.facts import BandFacts, ModelFacts, facts_to_item, item_to_facts, with_card


def some_facts(bands=3, channels=("building", "contact")):
    return ModelFacts(
        name="Häuser <1>",
        architecture="DeepLabV3+ with MobileNetV2, output stride 16",
        bands=tuple(BandFacts(str(band + 1), 0.0, 255.0, 101.5, 48.25) for band in range(bands)),
        dtype="uint8",
        scale=(1 / 127.5,) * bands,
        offset=(-1.0,) * bands,
        gsd=0.1487,
        tile_size=512,
        channels=channels,
        classes=({"value": 1, "name": "building"},),
        threshold=0.47,
        created="2026-01-02T03:04:05Z",
        metrics={"iou": 0.78, "f1": 0.87},
        training={"options": {"epochs": 35, "dataset": ["a", "b"]}, "best_epoch": 30},
        pretrained_source="file backbone.weights.h5",
        parameters=1234,
        credits="© somebody",
        licence="CC-BY-4.0",
        engine_version="0.1.0",
        framework_version=keras.__version__,
    )


def tiny_network(bands=3, channels=2):
    image = keras.layers.Input((None, None, bands))
    hidden = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    return keras.Model(image, keras.layers.Conv2D(channels, 1, activation="sigmoid")(hidden))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "whole.keras"
    network = tiny_network()
    model_file.save_model(network, some_facts(), path)
    return network, path


def changed(path, target, replaced=None, added=None, dropped=()):
    """Copy a model file with some of its entries replaced."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
        for name in source.namelist():
            if name not in dropped:
                copy.writestr(name, (replaced or {}).get(name, source.read(name)))
        for name, content in (added or {}).items():
            copy.writestr(name, content)
    return target


def with_config(path, target, change):
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read(safety.CONFIG))
    change(config)
    return changed(path, target, {safety.CONFIG: json.dumps(config)})


def with_weights(path, target, change):
    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read(safety.WEIGHTS))
    with h5py.File(content, "r+") as weights:
        change(weights)
    return changed(path, target, {safety.WEIGHTS: content.getvalue()})


def test_model_and_facts_come_back_as_they_were(whole):
    network, path = whole
    loaded, facts = model_file.load_model(path)
    assert facts == some_facts() == model_file.read_facts(path)
    for mine, theirs in zip(loaded.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_keras_opens_the_file_unchanged(whole):
    network, path = whole
    loaded = keras.saving.load_model(path)
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in network.layers]


def test_facts_are_a_stac_item_of_the_mlm_extension():
    item = json.loads(json.dumps(facts_to_item(some_facts()), allow_nan=False))
    assert item["type"] == "Feature"
    assert any("/mlm/v1." in extension for extension in item["stac_extensions"])
    properties = item["properties"]
    required = {"mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output"}
    assert required <= set(properties)
    assert properties["mlm:tasks"] == ["semantic-segmentation"]
    assert properties["mlm:input"][0]["input"]["shape"] == [-1, 512, 512, 3]
    assert properties["mlm:input"][0]["bands"] == [band["name"] for band in properties["bands"]]
    assert properties["mlm:output"][0]["result"]["dim_order"] == ["batch", "height", "width", "channel"]
    assert "mlm:model" in item["assets"]["model"]["roles"]
    assert item_to_facts(item, "it") == some_facts()


def test_card_can_be_completed():
    facts = with_card(some_facts(), name="Buildings", licence="ODbL-1.0")
    assert (facts.name, facts.licence, facts.gsd) == ("Buildings", "ODbL-1.0", some_facts().gsd)


@pytest.mark.parametrize(
    "missing", ["bands", "building_segmenter:gsd", "building_segmenter:threshold", "building_segmenter:scale"]
)
def test_missing_fact_is_named(whole, tmp_path, missing):
    item = facts_to_item(some_facts())
    del item["properties"][missing]
    path = changed(whole[1], tmp_path / "m.keras", {"mlm.json": json.dumps(item)})
    with pytest.raises(ModelError, match=missing):
        model_file.read_facts(path)


@pytest.mark.parametrize(
    ("name", "value"), [("gsd", 0.0), ("gsd", "fine"), ("tile_size", 500), ("threshold", 2.0), ("scale", [1.0])]
)
def test_senseless_fact_is_refused(whole, tmp_path, name, value):
    item = facts_to_item(some_facts())
    item["properties"][f"building_segmenter:{name}"] = value
    path = changed(whole[1], tmp_path / "m.keras", {"mlm.json": json.dumps(item)})
    with pytest.raises(ModelError, match=r"m\.keras"):
        model_file.read_facts(path)


@pytest.mark.parametrize("content", ["[]", "3", "{}", '{"properties": 4}', "{", "\udcff"])
def test_facts_that_are_no_item_are_refused(whole, tmp_path, content):
    path = changed(whole[1], tmp_path / "m.keras", {"mlm.json": content.encode("utf-8", "surrogateescape")})
    with pytest.raises(ModelError):
        model_file.read_facts(path)


def test_keras_file_without_facts_says_which_are_unknown(tmp_path):
    path = tmp_path / "foreign.keras"
    tiny_network().save(path)
    with pytest.raises(ModelError, match=r"ground pixel, bands, scaling") as caught:
        model_file.load_model(path)
    assert caught.value.hint


def test_missing_file(tmp_path):
    with pytest.raises(InputNotFoundError, match=r"none\.keras"):
        model_file.load_model(tmp_path / "none.keras")


def test_folder_for_the_output_is_missing(tmp_path):
    with pytest.raises(OutputNotWritableError):
        model_file.save_model(tiny_network(), some_facts(), tmp_path / "no" / "m.keras")


def test_failed_save_leaves_nothing(tmp_path):
    class Broken:
        def save(self, path):
            path.write_bytes(b"half")
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        model_file.save_model(Broken(), some_facts(), tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())


def test_text_is_no_model(tmp_path):
    path = tmp_path / "text.keras"
    path.write_text("hello")
    with pytest.raises(ModelError, match=r"not a \.keras file") as caught:
        model_file.load_model(path)
    assert not isinstance(caught.value, UnsafeModelError)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated_file_is_refused(whole, tmp_path, share):
    content = whole[1].read_bytes()
    path = tmp_path / "cut.keras"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError):
        model_file.load_model(path)


def test_flipped_bytes_are_noticed(whole, tmp_path):
    content = bytearray(whole[1].read_bytes())
    with zipfile.ZipFile(whole[1]) as archive:
        entry = archive.getinfo(safety.WEIGHTS)
    middle = entry.header_offset + 200 + entry.compress_size // 2
    content[middle : middle + 8] = b"\xff" * 8
    path = tmp_path / "bad.keras"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        model_file.load_model(path)


@pytest.mark.parametrize("entry", [safety.CONFIG, safety.WEIGHTS])
def test_missing_entry_is_named(whole, tmp_path, entry):
    path = changed(whole[1], tmp_path / "m.keras", dropped=[entry])
    with pytest.raises(ModelError, match=entry):
        model_file.load_model(path)


def test_weights_of_another_shape_are_refused(whole, tmp_path):
    other = tmp_path / "other.keras"
    tiny_network(channels=1).save(other)
    with zipfile.ZipFile(other) as archive:
        weights = archive.read(safety.WEIGHTS)
    path = changed(whole[1], tmp_path / "m.keras", {safety.WEIGHTS: weights})
    with pytest.raises(ModelError, match="cannot be loaded"):
        model_file.load_model(path)


def test_missing_weights_are_not_replaced_by_chance(whole, tmp_path):
    def change(weights):
        del weights["layers/conv2d_1"]

    with pytest.raises(ModelError, match="cannot be loaded"):
        model_file.load_model(with_weights(whole[1], tmp_path / "m.keras", change))


def test_classifier_is_not_a_segmentation_model(tmp_path):
    path = tmp_path / "classifier.keras"
    image = keras.layers.Input((32, 32, 3))
    network = keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(image)))
    model_file.save_model(network, some_facts(), path)
    with pytest.raises(ModelError, match="not a segmentation model"):
        model_file.load_model(path)


@pytest.mark.parametrize("facts", [some_facts(bands=4), some_facts(channels=("building",))])
def test_facts_that_contradict_the_network_are_refused(tmp_path, facts):
    path = tmp_path / "m.keras"
    model_file.save_model(tiny_network(), facts, path)
    with pytest.raises(ModelError, match="contradicts its facts"):
        model_file.load_model(path)


def test_lambda_layer_is_refused_before_keras_sees_it(tmp_path, monkeypatch):
    image = keras.layers.Input((None, None, 3))
    network = keras.Model(image, keras.layers.Lambda(lambda x: x, output_shape=(None, None, 3))(image))
    path = tmp_path / "lambda.keras"
    model_file.save_model(network, some_facts(channels=("a", "b", "c")), path)
    monkeypatch.setattr(model_file, "_loaded", lambda path: pytest.fail("Keras was asked to load it"))
    with pytest.raises(UnsafeModelError, match="Lambda"):
        model_file.load_model(path)


def layer_of(config, kind):
    return next(layer for layer in config["config"]["layers"] if layer["class_name"] == kind)


@pytest.mark.parametrize(
    "change",
    [
        {"module": "os", "class_name": "system"},
        {"module": "my.package", "class_name": "Conv2D"},
        {"module": None, "class_name": "Conv2D"},
        {"module": "keras.utils", "class_name": "get_file"},
        {"module": "keras.src.utils.file_utils", "class_name": "get_file"},
        {"module": "keras.saving", "class_name": "load_model"},
        {"module": "keras.models", "class_name": "load_model"},
        {"module": "keras.models", "class_name": "function", "config": "load_model"},
        {"module": "keras.layers", "class_name": "deserialize"},
        {"module": "builtins", "class_name": "function", "config": "os.system"},
        {"class_name": 3},
        {"module": "keras.layers", "class_name": "TFSMLayer"},
        {"module": "keras.layers", "class_name": "TorchModuleWrapper"},
        {"module": "builtins", "class_name": "function"},
        {"module": "keras.layers", "class_name": "Conv2D", "registered_name": "mine>Conv2D"},
    ],
)
def test_foreign_class_is_refused(whole, tmp_path, change):
    path = with_config(whole[1], tmp_path / "m.keras", lambda config: layer_of(config, "Conv2D").update(change))
    with pytest.raises(UnsafeModelError):
        model_file.load_model(path)


def test_layers_with_functions_policies_and_operations_of_keras_are_welcome(tmp_path):
    image = keras.layers.Input((None, None, 3))
    hidden = keras.layers.Conv2D(4, 1, activation=keras.ops.leaky_relu, kernel_regularizer="l2")(image)
    hidden = keras.layers.SeparableConv2D(4, 3, padding="same", dtype="mixed_bfloat16")(hidden)
    hidden = keras.ops.relu(hidden) * 2.0
    hidden = keras.layers.TimeDistributed(keras.layers.Dense(4))(hidden)
    inner = keras.Sequential([keras.layers.Input((None, None, 4)), keras.layers.Conv2D(2, 1, activation="sigmoid")])
    path = tmp_path / "m.keras"
    model_file.save_model(keras.Model(image, inner(hidden)), some_facts(), path)
    model, _ = model_file.load_model(path)
    assert model.output_shape[-1] == 2


def test_foreign_class_deep_inside_a_layer_is_refused(whole, tmp_path):
    def change(config):
        evil = {"module": "os", "class_name": "system", "config": {"command": "true"}, "registered_name": None}
        layer_of(config, "Conv2D")["config"]["kernel_initializer"]["config"]["seed"] = [evil]

    with pytest.raises(UnsafeModelError, match=r"os\.system"):
        model_file.load_model(with_config(whole[1], tmp_path / "m.keras", change))


def test_configuration_nested_without_end_is_refused(whole, tmp_path):
    deep = "[" * 500 + "]" * 500
    with zipfile.ZipFile(whole[1]) as archive:
        config = archive.read(safety.CONFIG).decode()
    path = changed(whole[1], tmp_path / "m.keras", {safety.CONFIG: config[:-1] + f', "more": {deep}}}'})
    with pytest.raises(UnsafeModelError, match="nested"):
        model_file.load_model(path)


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil", "a/../../evil", "..\\evil"])
def test_entry_that_leaves_the_archive_is_refused(whole, tmp_path, name):
    path = changed(whole[1], tmp_path / "m.keras", added={name: b"x"})
    with pytest.raises(UnsafeModelError, match="leads out"):
        model_file.load_model(path)


def test_zip_bomb_is_refused(whole, tmp_path):
    path = changed(whole[1], tmp_path / "m.keras", added={"assets/bomb": b"\0" * (8 << 20)})
    with pytest.raises(UnsafeModelError, match="zip bomb"):
        model_file.read_facts(path)


def test_too_many_entries_are_refused(whole, tmp_path):
    path = changed(whole[1], tmp_path / "m.keras", added={f"assets/{index}": b"" for index in range(300)})
    with pytest.raises(UnsafeModelError, match="entries"):
        model_file.read_facts(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_refused(whole, tmp_path):
    path = changed(whole[1], tmp_path / "m.keras", added={safety.CONFIG: b"{}"})
    with pytest.raises(UnsafeModelError, match="two entries"):
        model_file.load_model(path)


def test_external_link_in_the_weights_is_refused(whole, tmp_path):
    def change(weights):
        weights["layers/stolen"] = h5py.ExternalLink("/etc/passwd.h5", "/vars")

    with pytest.raises(UnsafeModelError, match=r"passwd\.h5"):
        model_file.load_model(with_weights(whole[1], tmp_path / "m.keras", change))


def test_soft_link_in_the_weights_is_refused(whole, tmp_path):
    def change(weights):
        weights["layers/again"] = h5py.SoftLink("/layers")

    with pytest.raises(UnsafeModelError, match="link"):
        model_file.load_model(with_weights(whole[1], tmp_path / "m.keras", change))


def test_array_stored_in_another_file_is_refused(whole, tmp_path):
    raw = tmp_path / "raw.bin"
    raw.write_bytes(b"\0" * 40)

    def change(weights):
        weights.create_dataset("stolen", (10,), "float32", external=[(os.fspath(raw), 0, 40)])

    with pytest.raises(UnsafeModelError, match="another file"):
        model_file.load_model(with_weights(whole[1], tmp_path / "m.keras", change))


def test_virtual_array_is_refused(whole, tmp_path):
    def change(weights):
        layout = h5py.VirtualLayout((10,), "float32")
        layout[:] = h5py.VirtualSource("elsewhere.h5", "x", shape=(10,))
        weights.create_virtual_dataset("stolen", layout)

    with pytest.raises(UnsafeModelError, match="another file"):
        model_file.load_model(with_weights(whole[1], tmp_path / "m.keras", change))


def test_shipped_model_is_found_beside_the_package_and_inside_it(tmp_path, monkeypatch):
    package = tmp_path / "building_segmenter"
    (package / "networks").mkdir(parents=True)
    monkeypatch.setattr(shipped, "__file__", str(package / "networks" / "shipped.py"))
    with pytest.raises(ModelError, match="missing"):
        shipped.default_model_path()
    for folder in (tmp_path / "models", package / "models"):
        folder.mkdir()
        (folder / shipped.NAME).touch()
        assert shipped.default_model_path() == folder / shipped.NAME
