"""Run as a process of its own: imports a custom job's function and says whether it can be called.

It stands apart because importing a stranger's module may take seconds, print, fail in any way or exit.
Reads `{"target": ..., "arguments": ...}` from standard input; prints nothing when all is well; a refusal is
one line on standard error with exit code 3, anything else that goes wrong is Python's own traceback.
"""

from __future__ import annotations

import json
import sys

from aegis_lib import target
from aegis_lib.errors import PermanentFailure

REFUSED = 3


def main() -> int:
    """Check what standard input asks for; the exit code says how it went."""
    asked = json.load(sys.stdin)
    try:
        target.check(target.load(asked["target"]), asked["target"], asked["arguments"])
    except PermanentFailure as refusal:
        sys.stderr.write(f"{refusal}\n")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
