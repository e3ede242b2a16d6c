"""IR programs to ONNX models: specialise, make data flow of what is mutable, lower, write."""
