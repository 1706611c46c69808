"""The demonstration: drawn aerial scenes with exact truth, and the runner behind `make demo`."""
