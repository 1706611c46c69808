"""Footprints: contours of probabilities, regularization, and the whole chain from image to footprints."""
