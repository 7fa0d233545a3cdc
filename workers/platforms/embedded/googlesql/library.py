"""Google's implementation of GoogleSQL, compiled to WebAssembly, and calls of its methods.

It runs in a sandbox without files, network or environment, except for the time zones. The package `zetasql` ships it:
https://github.com/google/zetasql/blob/master/zetasql/local_service/local_service.proto
"""

import atexit
import ctypes
import re
from collections import deque
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar

from workers.platforms.embedded.googlesql.errors import Refused

if TYPE_CHECKING:
    from google.protobuf.message import Message

    Answer = TypeVar("Answer", bound=Message)

LIBRARY_LOCK = RLock()
"""Held during every call: an instance has one memory and one stack."""
STACK_BYTES = 2 * 1024**2
"""Stack of a call, the most that wasmtime allows: for some 300 nested calls. Its default is a quarter of that."""
_SIZE = 4
"""Bytes of a size_t of 32-bit WebAssembly."""
_ERROR = re.compile(r"Code: (?P<code>\d+), Message: (?P<message>.*)", re.DOTALL)


@lru_cache(maxsize=1)
def library() -> "Library":
    """Return the instance of this process. The machine's first one compiles for 15 s, later ones load in 0.3 s."""
    return Library()


class Library:
    """An instance of the WebAssembly module."""

    def __init__(self) -> None:
        import tzdata
        from google._upb import _message
        from wasmtime import Config, Engine, Linker, Module, Store, WasiConfig, WasmtimeError

        _message.SetAllowOversizeProtos(True)  # a resolved query is deeper than the default of 100 messages
        config = Config()
        config.shared_memory = True
        config.max_wasm_stack = STACK_BYTES
        with suppress(WasmtimeError):  # without a folder to write to, each process compiles for itself
            config.cache = True  # keeps the compiled module under the user's cache folder
        engine = Engine(config)
        wasi = WasiConfig()
        wasi.preopen_dir(str(Path(tzdata.__file__).parent / "zoneinfo"), "/usr/share/zoneinfo")
        self._store = Store(engine)
        self._store.set_wasi(wasi)
        linker = Linker(engine)
        linker.define_wasi()
        module = Module.from_file(engine, str(_module_file()))
        instance = linker.instantiate(self._store, module)
        self._exports: dict[str, Any] = dict(instance.exports(self._store))
        for used in (engine, module, linker, self._store, self._exports["memory"]):
            atexit.register(used.close)  # the finalizers of wasmtime 50 fail at the end of the interpreter
        self._discarded: deque[int] = deque()
        self._run("_initialize")

    def discard(self, prepared_query: int) -> None:
        """Free a prepared query at the next call. Any thread may call this, also while another one runs `call`."""
        self._discarded.append(prepared_query)

    def call(self, method: str, request: "Message", answer: "type[Answer]") -> "Answer":
        """Call a method of the local service.

        Raises Refused with GoogleSQL's message, also if the module fails: it is then loaded anew at the next use.
        """
        from wasmtime import Trap, WasmtimeError

        with LIBRARY_LOCK:
            try:
                self._free_discarded()
                content = self._answer(f"ZetaSqlLocalService_{method}", request.SerializeToString())
                found: Answer = answer.FromString(content)
                return found
            except (Trap, WasmtimeError) as error:
                library.cache_clear()
                problem = "GoogleSQL's analyzer stopped while it read this query; it may be nested too deeply."
                raise Refused(problem, advice="Compute its parts in a WITH query.") from error

    def _free_discarded(self) -> None:
        from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service

        while self._discarded:
            request = service.UnprepareQueryRequest(prepared_query_id=self._discarded.popleft())
            self._answer("ZetaSqlLocalService_UnprepareQuery", request.SerializeToString())

    def _answer(self, method: str, request: bytes) -> bytes:
        at, size_at = self._run("wasm_malloc", len(request)), self._run("wasm_malloc", _SIZE)
        try:
            ctypes.memmove(self._address() + at, request, len(request))
            answer_at = self._run(method, at, len(request), size_at)
            if not answer_at:
                raise _refusal(self._read(self._run("wasm_get_last_error"), self._run("wasm_get_last_error_size")))
            answer = self._read(answer_at, int.from_bytes(self._read(size_at, _SIZE), "little"))
            self._run("wasm_free", answer_at)
            return answer
        finally:
            self._run("wasm_free", at)
            self._run("wasm_free", size_at)

    def _run(self, function: str, *arguments: int) -> int:
        return self._exports[function](self._store, *arguments)  # type: ignore[no-any-return]

    def _read(self, at: int, size: int) -> bytes:
        return ctypes.string_at(self._address() + at, size)

    def _address(self) -> int:
        return ctypes.addressof(self._exports["memory"].data_ptr().contents)


def _module_file() -> Path:
    spec = find_spec("zetasql.wasi")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("zetasql.wasi")
    return Path(spec.submodule_search_locations[0]) / "zetasql.wasm"


def _refusal(text: bytes) -> Refused:
    message = text.decode(errors="replace")
    matched = _ERROR.fullmatch(message)
    return Refused.from_googlesql(matched["message"] if matched else message)
