"""Training chips: cutting them from a raster and its footprints, and reading them back."""
