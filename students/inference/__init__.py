"""From a photograph to ears with numpy, OpenCV and ONNX Runtime alone; no torch."""
