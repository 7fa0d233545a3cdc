"""The data warehouse of this machine: SQL in DuckDB, training in scikit-learn, export as ONNX."""
