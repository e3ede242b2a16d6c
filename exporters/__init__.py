"""From the intermediate representation to files: ONNX, TorchScript archives, Python source."""

if __name__ != "bridge.exporters":
    raise ImportError("import this package as 'bridge.exporters'")
