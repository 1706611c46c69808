"""Runtimes and tiled prediction."""
