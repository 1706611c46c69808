"""The classes of datasets that are trained on together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from building_segmenter.errors import InvalidParameterError


def join_classes(
    named: Mapping[Path, Mapping[int, str]], known: Mapping[int, str] | None = None
) -> tuple[dict[int, str], list[str]]:
    """Join the classes of datasets by their names; upper and lower case are one.

    Exports number classes of texts in alphabetical order, so the same class may have another value where there are
    more of them. Values stay where they agree; otherwise the joined classes are numbered in alphabetical order.

    Args:
        named: Name of each class value, for each dataset.
        known: Those of an initial model, which stay as they are and are all there is; empty for none.

    Returns:
        Name of each value, by value, and what a user should know, a sentence each.

    Raises:
        InvalidParameterError: A dataset has no class in common with those before it, or one that `known` lacks, or
            names a class that is but a number in another.
    """
    parts: list[tuple[str, Mapping[int, str]]] = [("the initial model", known)] if known else []
    parts += [(str(folder), names) for folder, names in named.items()]
    spelled = _spelled(parts, fixed=bool(known))
    pairs = {(value, class_key(name)) for _, names in parts for value, name in names.items()}
    if known:
        joined = dict(sorted(known.items()))
    elif len({value for value, _ in pairs}) == len(pairs) == len({key for _, key in pairs}):
        joined = {value: spelled[key] for value, key in sorted(pairs)}
    else:
        joined = {value: spelled[key] for value, key in enumerate(sorted(spelled), start=1)}
    return joined, _notes(joined, parts, named)


def class_key(name: str) -> str:
    """Return what two names of one class have in common."""
    return name.casefold()


def _spelled(parts: Sequence[tuple[str, Mapping[int, str]]], fixed: bool) -> dict[str, str]:
    """Return all names by what makes them equal, as they are spelled first."""
    spelled: dict[str, str] = {}
    for source, names in parts:
        added: dict[str, str] = {}
        for name in names.values():
            added.setdefault(class_key(name), name)
        new = [name for key, name in added.items() if key not in spelled]
        if spelled and (len(new) == len(added) or (fixed and new)):
            raise _other_classes(source, names, spelled)
        _check_numbers_named(source, names, parts)
        spelled |= {key: name for key, name in added.items() if key not in spelled}
    return spelled


def _check_numbers_named(source: str, names: Mapping[int, str], parts: Sequence[tuple[str, Mapping[int, str]]]) -> None:
    for other, others in parts:
        for value, name in names.items():
            if name != str(value) == others.get(value, name):
                raise InvalidParameterError(
                    f"Class {value} is named {name} in {source} and has no name in {other}.",
                    "Export the chips again with the same field of names as CLASS_FIELD.",
                )


def _other_classes(source: str, names: Mapping[int, str], spelled: Mapping[str, str]) -> InvalidParameterError:
    return InvalidParameterError(
        f"The classes of {source} are {', '.join(names.values())}; the others are {', '.join(spelled.values())}.",
        "Classes are joined by their names: name them alike in CLASS_FIELD and export again, or set CLASSES to merge.",
    )


def _notes(
    joined: Mapping[int, str], parts: Sequence[tuple[str, Mapping[int, str]]], named: Mapping[Path, Mapping[int, str]]
) -> list[str]:
    notes = []
    values = {class_key(name): value for value, name in joined.items()}
    if any(values[class_key(name)] != value for _, names in parts for value, name in names.items()):
        listed = ", ".join(f"{value} {name}" for value, name in joined.items())
        notes.append(f"Datasets number their classes differently; they are joined by name: {listed}.")
    for folder, names in named.items():
        there = {class_key(name) for name in names.values()}
        missing = [name for name in joined.values() if class_key(name) not in there]
        if missing:
            notes.append(f"{folder} has no {', '.join(missing)}: what it shows of them is taught as background.")
    return notes
