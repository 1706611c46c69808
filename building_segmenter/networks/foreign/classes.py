"""Which of a network's channels are wanted, and how its values become probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from building_segmenter.errors import InvalidParameterError
from building_segmenter.networks.facts import BACKGROUND
from building_segmenter.networks.foreign.ending import Ending
from building_segmenter.networks.foreign.stated import parameters_missing

ALL = "all"
_BUILDING = "building"

Function = Literal["sigmoid", "softmax"]


@dataclass(frozen=True)
class Activation:
    """How a network's values become probabilities.

    Args:
        function: What is still to be applied to them; None if they are probabilities.
        exclusive: Whether those of a pixel add up to one.
    """

    function: Function | None
    exclusive: bool


@dataclass(frozen=True)
class Selection:
    """Channels that are wanted.

    Args:
        channels: Their numbers in the network's output, counted from 0.
        names: Their names.
        exclusive: Whether they are classes that exclude each other, the background first.
        no_background: Whether the network has no background, so that one that is never probable comes first.
    """

    channels: tuple[int, ...]
    names: tuple[str, ...]
    exclusive: bool = False
    no_background: bool = False


def activation_of(ending: Ending | None, channels: int, stated: str | None, source: str) -> Activation:
    """Return what makes probabilities of a network's values.

    Args:
        ending: How its graph ends.
        channels: How many it gives.
        stated: MODEL_OUTPUT.
        source: The model file, for messages.

    Raises:
        InvalidParameterError: The graph does not tell, and nor does the user; or they contradict each other.
    """
    if stated is None:
        return _told_by_ending(ending, channels, source)
    is_probability = ending in ("sigmoid", "softmax")
    if (ending is not None) and is_probability != (stated == "probabilities"):
        raise InvalidParameterError(
            f"MODEL_OUTPUT is {stated}, but the network of the model {source} ends in"
            f" {'a ' + ending if is_probability else 'values without bounds'}.",
            "Leave it out.",
        )
    if stated == "logits-softmax" and channels == 1:
        raise InvalidParameterError(
            f"MODEL_OUTPUT is logits-softmax, but the model {source} has one class only, whose probability would"
            " always be 1.",
            "Give logits-sigmoid.",
        )
    if stated == "probabilities":
        return Activation(None, ending != "sigmoid")
    return Activation("softmax", True) if stated == "logits-softmax" else Activation("sigmoid", False)


def _told_by_ending(ending: Ending | None, channels: int, source: str) -> Activation:
    if ending == "sigmoid":
        return Activation(None, False)
    if ending == "softmax" and channels > 1:
        return Activation(None, True)
    if ending == "log-softmax" and channels > 1:
        # The softmax of logarithms of probabilities are these probabilities.
        return Activation("softmax", True)
    if ending == "logits" and channels == 1:
        return Activation("sigmoid", False)
    what = "whether its values are probabilities, or logits of which kind"
    if ending == "logits":
        what = f"whether its {channels} classes exclude each other (logits-softmax) or not (logits-sigmoid)"
    raise parameters_missing(source, {"MODEL_OUTPUT": what})


def selection_of(channels: int, names: tuple[str, ...], exclusive: bool, wanted: str | None, source: str) -> Selection:
    """Return the channels that are wanted.

    Args:
        channels: How many the network gives.
        names: Their names if the file says them; one channel may have the background's beside its own.
        exclusive: Whether the probabilities of a pixel add up to one.
        wanted: MODEL_CLASS.
        source: The model file, for messages.

    Raises:
        InvalidParameterError: There are several and none is named, or there is no such class.
    """
    known = names[1:] if channels == 1 and len(names) == 2 else names
    if len(known) != channels:
        known = ()
    if wanted == ALL:
        return _all(channels, known, exclusive, source)
    if wanted is not None:
        channel = _number_of(wanted, channels, known, source)
    else:
        channel = _only_one(channels, known, source)
    return Selection((channel,), (known[channel] if known else _BUILDING,))


def _all(channels: int, known: tuple[str, ...], exclusive: bool, source: str) -> Selection:
    if not exclusive or channels == 1:
        raise InvalidParameterError(
            f"MODEL_CLASS is {ALL}, but the classes of the model {source} do not exclude each other: their"
            " probabilities do not add up to one.",
            f"Give one class: {_choices(channels, known)}.",
        )
    classes = known or tuple(f"class {number + 1}" for number in range(channels))
    has_background = _is_background(classes[0])
    if channels - has_background < 2:
        raise InvalidParameterError(
            f"MODEL_CLASS is {ALL}, but the model {source} has one class beside the background.",
            f"Give that class: {classes[1]}.",
        )
    return Selection(
        tuple(range(channels)),
        (BACKGROUND, *classes[has_background:]),
        exclusive=True,
        no_background=not has_background,
    )


def _only_one(channels: int, known: tuple[str, ...], source: str) -> int:
    rest = [number for number, name in enumerate(known) if not _is_background(name)]
    if channels == 1:
        return 0
    if channels == 2 and len(rest) == 1:
        return rest[0]
    raise InvalidParameterError(
        f"The model {source} gives {channels} classes"
        f"{': ' + ', '.join(known) if known else ', and its file does not say which'}.",
        f"Give MODEL_CLASS, the class that is wanted: {_choices(channels, known)}; or {ALL}.",
    )


def _number_of(wanted: str, channels: int, known: tuple[str, ...], source: str) -> int:
    same = [number for number, name in enumerate(known) if name.casefold() == wanted.strip().casefold()]
    if len(same) == 1:
        return same[0]
    if wanted.strip().isdecimal() and 1 <= int(wanted) <= channels:
        return int(wanted) - 1
    raise InvalidParameterError(
        f"MODEL_CLASS is {wanted!r}, but the model {source} has no such class.",
        f"It has {_choices(channels, known)}.",
    )


def _choices(channels: int, known: tuple[str, ...]) -> str:
    if channels == 1:
        return f"1{' (' + known[0] + ')' if known else ''}"
    names = f" ({', '.join(known)})" if known else ""
    return f"1 to {channels}{names}"


def _is_background(name: str) -> bool:
    return BACKGROUND in name.casefold()
