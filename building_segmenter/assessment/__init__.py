"""Assessment: how well footprints agree with a reference."""
