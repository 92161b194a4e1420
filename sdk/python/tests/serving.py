"""Runs the real `realm serve` with the real model, in clean surroundings, for as long as tests need it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

START_SECONDS = 120
"""A server that is not ready by then has failed."""
STOP_SECONDS = 60
"""A server that takes longer to end is killed."""
_ADDRESS = re.compile(r"^serving .* at (http://\S+)$")
_READY = "  curl "
_LAST_LINES = 50


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str


@contextmanager
def serve(manifest: Path, model: str | None = None, options: Sequence[str] = ()) -> Generator[Server, None, None]:
    """Serves a manifest on a free port until the block ends; `model` is another file than the real model."""
    binary = _from_environment("REALM_BIN", "the path of the program `realm`")
    model = model or _from_environment("REALM_TEST_MODEL", "the path of the demo model")
    with tempfile.TemporaryDirectory() as home:
        # For tests' own sake: keys, caches and settings of this machine stay out.
        environment = {"HOME": home, "REALM_DATA": f"{home}/data", "REALM_STORE": f"{home}/store"}
        ports = ["--port", "0", "--management-port", "0"]
        command = [binary, "serve", "-f", str(manifest), "--model-file", model, *ports, *options]
        with subprocess.Popen(command, env=environment, cwd=home, stderr=subprocess.PIPE, text=True) as process:
            said = _Said(process.stderr)
            try:
                yield Server(said.address())
            finally:
                _stop(process)
                said.finish()


class _Said:
    """What the server says; read to its end, so that the server never waits for us."""

    def __init__(self, stderr: IO[str] | None) -> None:
        assert stderr is not None
        self._stderr = stderr
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._ready: Future[str] = Future()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def address(self) -> str:
        """Waits until the server says that it is ready; where it is."""
        return self._ready.result(START_SECONDS)

    def finish(self) -> None:
        """The server has ended: reads the rest."""
        self._reader.join()

    def _read(self) -> None:
        address = None
        for line in self._stderr:
            self._lines.append(line)
            found = _ADDRESS.match(line.rstrip())
            address = found[1] if found else address
            if line.startswith(_READY) and address is not None and not self._ready.done():
                self._ready.set_result(address)
        if not self._ready.done():
            self._ready.set_exception(RuntimeError(f"the server ended before it was ready:\n{''.join(self._lines)}"))


def _from_environment(name: str, what: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(f"{name} is not set: it must be {what}; `cargo xtask sdk` sets it")
    return str(Path(value).resolve())


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
