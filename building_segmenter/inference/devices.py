"""Which processor or graphics card runs the network, and in which arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from building_segmenter.errors import InvalidParameterError

_CAPABILITIES = {"bf16": "BF16", "f16": "FP16"}
"""What OpenVINO calls the arithmetics that a device may lack."""


@dataclass(frozen=True)
class Device:
    """Something that runs networks.

    Args:
        name: OpenVINO's name, such as `CPU`, `GPU` or `GPU.1`.
        full_name: The maker's.
        capabilities: What OpenVINO says that it can do, such as `BF16`.
    """

    name: str
    full_name: str
    capabilities: tuple[str, ...]

    @property
    def is_processor(self) -> bool:
        """Whether it is the machine's processor, no card."""
        return self.name == "CPU"


def chosen_device(core: Any, wanted: str) -> Device:
    """Return the device for an option.

    OpenVINO's own choice (its device AUTO) begins on the processor and goes over to the card when that has compiled
    the network, so that pixels would depend on time; here one device does a whole run.

    Args:
        core: An `openvino.Core`.
        wanted: cpu; gpu: a graphics card, one of its own memory before one in the processor; auto: gpu where OpenVINO
            has one, else cpu.

    Raises:
        InvalidParameterError: It is gpu, and OpenVINO has none.
    """
    cards = [name for name in core.available_devices if name.partition(".")[0] == "GPU"]
    if wanted == "gpu" and not cards:
        raise InvalidParameterError(
            f"DEVICE is gpu, but OpenVINO finds no graphics card that it can use; it has"
            f" {', '.join(core.available_devices)}.",
            "It uses cards of Intel whose OpenCL driver is installed. Choose cpu or auto.",
        )
    name = "CPU" if wanted == "cpu" or not cards else max(cards, key=lambda card: _is_discrete(core, card))
    full_name = str(core.get_property(name, "FULL_DEVICE_NAME")).strip()
    return Device(name, full_name, tuple(sorted(core.get_property(name, "OPTIMIZATION_CAPABILITIES"))))


def chosen_precision(device: Device, wanted: str) -> str:
    """Return the arithmetic for an option: auto is bf16 on a processor that has it, else f32.

    Masks of bf16 were measured to agree with those of f32; on graphics cards nothing was measured, so that auto stays
    with f32 there.

    Raises:
        InvalidParameterError: The device does not have the one that is asked for.
    """
    if wanted == "auto":
        return "bf16" if device.is_processor and "BF16" in device.capabilities else "f32"
    if wanted in _CAPABILITIES and _CAPABILITIES[wanted] not in device.capabilities:
        raise InvalidParameterError(
            f"INFERENCE_PRECISION is {wanted}, but {device.full_name} has no {wanted} arithmetic.",
            "Choose auto or f32.",
        )
    return wanted


def _is_discrete(core: Any, name: str) -> bool:
    return "discrete" in str(core.get_property(name, "DEVICE_TYPE")).lower()
