"""Runs as a script of its own: puts a command on a leash, so that it dies with the process that started it.

`python -I -S leash.py PARENT SIGNAL UID GID COMMAND...` becomes COMMAND in the same process. Where the kernel
knows parent-death signals (Linux) the command receives SIGNAL when PARENT's starting thread ends. UID and GID
of -1 keep the present user. Imports nothing of ours and nothing outside the standard library: it is started
without site-packages, in a fresh single-threaded process, so that nothing runs between fork and exec in ours.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Drop to the user, ask for the signal, become the command. Returns only by raising OSError."""
    parent, signal_number, uid, gid = (int(value) for value in arguments[:4])
    command = arguments[4:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After setuid, which clears it; it survives the exec below.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)  # the parent died before the leash was on
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
