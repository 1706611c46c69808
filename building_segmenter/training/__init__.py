"""Training: data pipeline, augmentation, schedule."""
