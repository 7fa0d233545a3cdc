"""GoogleSQL on this machine: Google's own analyzer and evaluator of expressions, and DuckDB for the rows.

`library` holds Google's implementation (ZetaSQL, compiled to WebAssembly). Its analyzer resolves every name, type,
coercion and overload of a query as BigQuery does, and refuses what BigQuery refuses. `scans` and `expressions` write
the resolved query as DuckDB's SQL. A function has a native counterpart there if functions.toml has one, and is
evaluated by Google's implementation otherwise; a function without a row in functions.toml is refused.
"""
