"""The control plane: what is registered, and the operations on it."""
