"""How the shipped model is trained and measured, for `models/README.md`."""
