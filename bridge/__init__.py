"""TorchScript, rebuilt on ONNX: capture a Python model with its control flow, look at it, and take it anywhere."""

from bridge.version import __version__ as __version__
