"""The client's end of the process border: starting, hearing, and stopping workers. Standard library only."""
