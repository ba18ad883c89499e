"""Runs a server's command and ends all of its processes with the process that asked for it, however that one ends.

``python -I -S guard.py PARENT GRACE COMMAND…`` writes the command's process id as one line to its standard output. The
command leads a process group of its own. It is ended when our standard input closes (the parent closed it, or died,
even by SIGKILL), when PARENT is no longer our parent, or by SIGTERM: SIGTERM to the command, GRACE seconds later
SIGKILL to its group. The group is swept in any case: vLLM's engine and its workers outlive an API server that was
killed, and hold the memory. If this process is killed, the kernel sends the command SIGTERM (Linux).

Stands alone, on the standard library; knows nothing of vLLM.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1


def die_with_parent(number: int) -> None:
    """Have the kernel send this process a signal when its parent dies; only Linux can."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def main(parent: int, grace: float, command: list[str]) -> int:
    """Run a command until it ends or has to; return its exit status, 128 + N for one ended by signal N."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1):
        signal.signal(number, lambda *_: None)  # what is handled here is at its default in the command
    die_with_parent(signal.SIGUSR1)  # sent when the thread that started us ends, so that the parent is looked at
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=2,
        process_group=0,
        preexec_fn=lambda: die_with_parent(signal.SIGTERM),
    )
    print(child.pid, flush=True)
    os.close(1)
    while child.poll() is None and os.getppid() == parent:
        ready, _, _ = select.select([0, read], [], [])
        if 0 in ready and not os.read(0, 1):
            break
        if read in ready and signal.SIGTERM in os.read(read, 64):
            break
    if child.poll() is None:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(grace)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
