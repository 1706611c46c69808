"""Where the model that comes with the plugin lies."""

from __future__ import annotations

from pathlib import Path

from building_segmenter.errors import ModelError

NAME = "buildings-deeplabv3plus-mobilenetv2.keras"


def default_model_path() -> Path:
    """Return the shipped model: inside the package in the plugin's zip, beside the package in a checkout.

    Raises:
        ModelError: There is none.
    """
    package = Path(__file__).resolve().parent.parent
    places = [package / "models" / NAME, package.parent / "models" / NAME]
    for place in places:
        if place.is_file():
            return place
    raise ModelError(
        f"The shipped model {NAME} is missing; it was looked for in {' and '.join(str(p.parent) for p in places)}.",
        "Install the plugin again, or name a model of your own with MODEL.",
    )
