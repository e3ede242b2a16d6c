"""ONNX models → IR. Any model: a node becomes a node, names and attributes are kept, nothing is executed."""
