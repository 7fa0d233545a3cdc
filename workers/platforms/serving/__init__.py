"""The endpoint process of the embedded cluster: TensorFlow Serving's REST API over ONNX Runtime."""
