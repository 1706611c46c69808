"""Measurements of what is promised, against named rivals in the same run."""
