#!/usr/bin/env bash
# A sum of 40 numbers is too deep for GoogleSQL's analyzer in Python, as the package zetasql delivers it.
#
# zetasql 0.1.5 analyzes the query, but protobuf 7.36.2 refuses to parse the answer: each operator adds several nested
# messages to the resolved query, and protobuf's C implementation (upb) stops at 100. A sum of 10 numbers passes. The
# switch for larger messages, SetAllowOversizeProtos, also lifts the limit of the depth, although its name is about size.
# Seen: "DecodeError: Error parsing message with type 'zetasql.local_service.AnalyzeResponse': Exceeded
# upb_DecodeOptions_MaxDepth". The package compiles for about 15 s first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check zetasql==0.1.5 protobuf==7.36.2 wasmtime==50.0.1
"$folder/venv/bin/python" - <<'PYTHON'
from google._upb import _message
from google.protobuf.message import DecodeError
from zetasql.core.wasm_client import WasmClient
from zetasql.wasi import get_wasm_path
from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service

client = WasmClient(wasm_path=get_wasm_path())


def analyze(terms: int) -> str:
    request = service.AnalyzeRequest(sql_statement="SELECT " + " + ".join(["x"] * terms) + " FROM UNNEST([1]) AS x")
    request.descriptor_pool_list.definitions.add().builtin.SetInParent()
    request.simple_catalog.name = "empty"
    request.simple_catalog.builtin_function_options.language_options.SetInParent()
    try:
        client.call_grpc_func("ZetaSqlLocalService_Analyze", request, service.AnalyzeResponse)
    except DecodeError as error:
        return f"DecodeError: {error}"
    return "analyzed"


seen = {"10 terms": analyze(10), "40 terms": analyze(40)}
_message.SetAllowOversizeProtos(True)
seen["40 terms, oversize allowed"] = analyze(40)
for what, result in seen.items():
    print(f"{what}: {result}")
assert seen["10 terms"] == "analyzed"
assert "Exceeded upb_DecodeOptions_MaxDepth" in seen["40 terms"]
assert seen["40 terms, oversize allowed"] == "analyzed"
PYTHON
