"""Which stack a fault is injected into: one on a small disk, or one whose worker has a network of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.faults import surroundings
from tests.faults.installation import Installation
from tests.stack_process import temporary_directory


@contextmanager
def plain(*, on_small_disk: bool) -> Iterator[Installation]:
    """`aegis up`, its logs and scratch files on a disk of four megabytes where wanted.

    Raises:
        Unavailable: we may not mount one.
    """
    with temporary_directory() as directory, ExitStack() as around:
        stack = Installation(directory)
        if on_small_disk:
            stack.small_disk = around.enter_context(surroundings.small_disk(stack.root))
        with _running(stack):
            yield stack


@contextmanager
def apart() -> Iterator[Installation]:
    """`aegis up` with its worker in a network of its own.

    Raises:
        Unavailable: we may not make one.
    """
    with temporary_directory() as directory:
        stack = Installation(directory)
        with surroundings.network(stack.port) as network:
            stack.network = network
            stack.up = (sys.executable, "-m", "tests.faults.apart", network.namespace, network.url)
            with _running(stack):
                yield stack


@contextmanager
def _running(stack: Installation) -> Iterator[None]:
    try:
        stack.start()
        yield
    finally:
        if stack.process is not None and stack.process.poll() is None:
            stack.kill_everything()  # nothing of it is needed any more
        stack.close()
