"""The data warehouse of one machine: SQL in DuckDB, training in scikit-learn, export as ONNX."""
