"""Networks as ONNX graphs, written from the Keras layers themselves: neither TensorFlow nor a converter is needed."""
