#!/usr/bin/env bash
# FORMAT_TIMESTAMP('%l:%M', …) loses the hour, silently, in GoogleSQL compiled to WebAssembly.
#
# zetasql 0.1.5 (ZetaSQL's evaluator as WebAssembly): the format elements %k and %l, the hour padded with a blank, give
# nothing, where the native build gives "13" and " 1": the module's C library has no such elements, and the
# evaluator passes them on. %H and %I work. In the same build, NORMALIZE with NFC works and with NFKC stops with an
# error of ICU, whose data files are not in the module.
# Seen: "%k:%M" and "%l:%M" give "45", without hour and colon; "%H:%M" gives "13:45"; NFKC: "U_FILE_ACCESS_ERROR".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check zetasql==0.1.5 protobuf==7.36.2 wasmtime==50.0.1
"$folder/venv/bin/python" - <<'PYTHON'
from zetasql.core.exceptions import ServerError
from zetasql.core.wasm_client import WasmClient
from zetasql.wasi import get_wasm_path
from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service
from zetasql.wasi._pb2.zetasql.proto import options_pb2

client = WasmClient(wasm_path=get_wasm_path())
language = client.call_grpc_func(
    "ZetaSqlLocalService_GetLanguageOptions",
    service.LanguageOptionsRequest(maximum_features=True),
    options_pb2.LanguageOptionsProto,
)


def evaluate(expression: str) -> str:
    request = service.PrepareRequest(sql=expression)
    request.descriptor_pool_list.definitions.add().builtin.SetInParent()
    request.simple_catalog.name = "empty"
    request.options.language_options.CopyFrom(language)
    request.simple_catalog.builtin_function_options.language_options.CopyFrom(language)
    try:
        prepared = client.call_grpc_func("ZetaSqlLocalService_Prepare", request, service.PrepareResponse).prepared
        run = service.EvaluateRequest(prepared_expression_id=prepared.prepared_expression_id)
        return client.call_grpc_func("ZetaSqlLocalService_Evaluate", run, service.EvaluateResponse).value.string_value
    except ServerError as error:
        return f"error: {error}"


time = "DATETIME '2026-01-01 13:45:10'"
seen = {element: evaluate(f"FORMAT_DATETIME('{element}:%M', {time})") for element in ("%H", "%I", "%k", "%l")}
for element, text in seen.items():
    print(f"{element}:%M gives {text!r}")
assert seen == {"%H": "13:45", "%I": "01:45", "%k": "45", "%l": "45"}, seen
normalized = {form: evaluate(f"NORMALIZE('a', {form})") for form in ("NFC", "NFKC")}
print(normalized)
assert normalized["NFC"] == "a" and "U_FILE_ACCESS_ERROR" in normalized["NFKC"], normalized
PYTHON
