"""Drawn aerial scenes with exact building footprints."""

from demo.scene.draw import Scene, draw_scene
from demo.scene.write import Corner, place_scene, write_scene

__all__ = ["Corner", "Scene", "draw_scene", "place_scene", "write_scene"]
