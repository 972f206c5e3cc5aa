"""Memory that this process has, and what it can have before its container or the machine is out of it.

Linux tells both in files; elsewhere nothing is known.
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

_ROOT = pathlib.Path("/")
_LIMITS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Files of a cgroup of the second version, and of the first."""


class ProcessMemory(NamedTuple):
    """Memory of a process.

    Args:
      used: bytes that are resident.
      limit: bytes that it can have: those, and what is left within the limits of its container, or of the
        machine. Where several processes share a limit, each comes near to its own as the last of it goes.
    """

    used: int
    limit: int


def process_memory(root: pathlib.Path = _ROOT) -> ProcessMemory | None:
    """Returns the memory of this process; None where the system does not tell.

    Args:
      root: folder that has ``proc`` and ``sys``.
    """
    try:
        pages = int((root / "proc/self/statm").read_text().split()[1])
        left = _fields(root / "proc/meminfo")["MemAvailable:"] * 1024
    except (OSError, ValueError, LookupError):
        return None
    used = pages * _page_bytes()
    for group in _groups(root):
        left = min(left, _left_in(group, left))
    return ProcessMemory(used, used + max(0, left))


def _page_bytes() -> int:
    import resource  # which not all systems have

    return resource.getpagesize()


def _groups(root: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields the folders of the cgroups that this process is in; all of them limit it.

    In a container its own may stand at the top, under a name that is that of the host.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        parts = [part for part in path.split("/") if part and part != ".."]
        for end in range(len(parts), -1, -1):
            yield top.joinpath(*parts[:end])


def _left_in(group: pathlib.Path, otherwise: int) -> int:
    """Returns what is left within the limit of a cgroup; caches of files go before a process does."""
    for limit, usage, inactive in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # none such, or "max"
            most, now = int((group / limit).read_text()), int((group / usage).read_text())
            return most - now + _fields(group / "memory.stat").get(inactive, 0)
    return otherwise


def _fields(path: pathlib.Path) -> dict[str, int]:
    return {name: int(value) for name, value, *_ in map(str.split, path.read_text().splitlines())}
