"""flambeau: a model server for PyTorch models, compatible with TorchServe."""

__version__ = "0.1.0"
