"""The engine's Python environment: found, set up, checked. Standard library only: the command line uses it too."""
