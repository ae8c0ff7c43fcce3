"""Students as ONNX files: written, checked against torch, measured."""
