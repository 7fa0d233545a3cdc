"""The endpoint process: TensorFlow Serving's REST API over ONNX Runtime, and over XGBoost if it is installed."""
