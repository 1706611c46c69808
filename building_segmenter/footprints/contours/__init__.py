"""Sub-pixel outlines of what lies inside in a raster, traced band by band of rows in bounded memory."""
