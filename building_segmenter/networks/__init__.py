"""Network architectures in pure Keras 3, and the one-file model."""
