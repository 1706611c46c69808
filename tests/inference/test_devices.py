"""Which device runs a network, and in which arithmetic, on machines that this one is not."""

import pytest

from building_segmenter.errors import InvalidParameterError
from building_segmenter.inference.devices import Device, chosen_device, chosen_precision


class Machine:
    """What OpenVINO tells of a machine."""

    def __init__(self, **devices):
        self.available_devices = [name.replace("_", ".") for name in devices]
        self._told = dict(zip(self.available_devices, devices.values(), strict=True))

    def get_property(self, device, name):
        return self._told[device][name]


def told(full_name, capabilities, kind="Type.INTEGRATED"):
    return {"FULL_DEVICE_NAME": full_name + "  ", "OPTIMIZATION_CAPABILITIES": capabilities, "DEVICE_TYPE": kind}


CPU = told("Xeon", ["FP32", "INT8", "BF16", "EXPORT_IMPORT"])
OLD_CPU = told("Core 2", ["FP32", "EXPORT_IMPORT"])
CARD = told("Iris", ["FP32", "FP16", "EXPORT_IMPORT"])
ARC = told("Arc", ["FP32", "FP16", "EXPORT_IMPORT"], "Type.DISCRETE")


@pytest.mark.parametrize(
    ("machine", "wanted", "name"),
    [
        (Machine(CPU=CPU, GPU=CARD), "cpu", "CPU"),
        (Machine(CPU=CPU, GPU=CARD), "gpu", "GPU"),
        (Machine(CPU=CPU, GPU=CARD), "auto", "GPU"),
        (Machine(CPU=CPU), "auto", "CPU"),
        (Machine(CPU=CPU, NPU=CARD), "auto", "CPU"),
        (Machine(CPU=CPU, GPU_0=CARD, GPU_1=ARC), "auto", "GPU.1"),
        (Machine(CPU=CPU, GPU_0=ARC, GPU_1=CARD), "gpu", "GPU.0"),
        (Machine(CPU=CPU, GPU_0=CARD, GPU_1=CARD), "gpu", "GPU.0"),
    ],
)
def test_the_device_is_one_for_the_whole_run(machine, wanted, name):
    assert chosen_device(machine, wanted).name == name


def test_its_name_is_the_makers():
    assert chosen_device(Machine(CPU=CPU), "cpu") == Device("CPU", "Xeon", ("BF16", "EXPORT_IMPORT", "FP32", "INT8"))


def test_no_card():
    with pytest.raises(InvalidParameterError, match=r"no graphics card.* it has CPU, NPU") as caught:
        chosen_device(Machine(CPU=CPU, NPU=CARD), "gpu")
    assert "driver" in caught.value.hint and "auto" in caught.value.hint


@pytest.mark.parametrize(
    ("facts", "name", "wanted", "precision"),
    [
        (CPU, "CPU", "auto", "bf16"),
        (CPU, "CPU", "f32", "f32"),
        (OLD_CPU, "CPU", "auto", "f32"),
        (CARD, "GPU", "auto", "f32"),
        (CARD, "GPU", "f16", "f16"),
        (CPU | {"OPTIMIZATION_CAPABILITIES": ["BF16"]}, "GPU", "auto", "f32"),
    ],
)
def test_the_precision_is_one_that_the_device_has(facts, name, wanted, precision):
    device = Device(name, facts["FULL_DEVICE_NAME"], tuple(facts["OPTIMIZATION_CAPABILITIES"]))
    assert chosen_precision(device, wanted) == precision


@pytest.mark.parametrize(("facts", "wanted"), [(OLD_CPU, "bf16"), (CARD, "bf16"), (CPU, "f16")])
def test_a_precision_that_the_device_does_not_have(facts, wanted):
    device = Device("CPU", facts["FULL_DEVICE_NAME"], tuple(facts["OPTIMIZATION_CAPABILITIES"]))
    with pytest.raises(InvalidParameterError, match=f"{wanted}, but {device.full_name} has no {wanted}") as caught:
        chosen_precision(device, wanted)
    assert "auto" in caught.value.hint
