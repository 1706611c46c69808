"""Finding objects one by one with a Mask R-CNN, tile by tile: its three networks on OpenVINO, the rest on NumPy."""
