"""The data plane: what waits, and how it reaches a worker."""
