"""Coordinate reference systems, ground metres, and reading and writing vectors."""
