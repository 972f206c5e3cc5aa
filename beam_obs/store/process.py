"""Which process launched a run, and whether it is still alive.

A process is known by its machine, its pid and when it started: pids are used again.
"""

from __future__ import annotations

import os
import socket
from typing import Any


def this_process() -> dict[str, Any]:
    """Returns host, machine, pid and start of this process, as kept in ``start.json``."""
    return {
        "host": socket.gethostname(),
        "machine": _machine(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
    }


def is_alive(process: dict[str, Any]) -> bool | None:
    """Whether a process kept by `this_process` still runs; None where this machine cannot tell.

    >>> is_alive(this_process())
    True
    >>> is_alive({**this_process(), "machine": "another"}) is None
    True
    """
    if process.get("machine") != _machine() or process.get("host") != socket.gethostname():
        return None
    pid = int(process["pid"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    started = _started(pid)
    return started == process.get("started")


def _machine() -> str:
    """Returns what tells this machine (and container) from another one of the same host name."""
    parts = []
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            parts.append(file.read().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:
        pass
    return " ".join(parts)


def _started(pid: int) -> str | None:
    """Returns when a process started, in clock ticks since boot; None where the system does not say.

    A process that has ended but is not yet reaped counts as ended: its start is ``"ended"``.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return "ended" if fields[0] in (b"Z", b"X") else fields[19].decode("ascii")
