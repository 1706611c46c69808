"""Training of Mask R-CNN: objects of chips, batches of them, the loop over epochs, and its measures."""
