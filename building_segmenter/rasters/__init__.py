"""Reading rasters of any kind, grids of tiles and blocks over them, and writing results."""
