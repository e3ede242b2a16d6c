"""From files to the intermediate representation: ONNX, TorchScript archives."""

if __name__ != "bridge.importers":
    raise ImportError("import this package as 'bridge.importers'")
