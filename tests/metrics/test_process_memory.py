"""Memory of a process, from what Linux says of it: on this machine, and in folders made as it makes them."""

from __future__ import annotations

import pathlib
import sys

import pytest

from beam_obs.metrics.process_memory import ProcessMemory, process_memory

MB = 1_000_000
PAGES = 1000
USED = PAGES * 4096
FREE = 5_000 * 1024


def system(root: pathlib.Path, groups: str, files: dict[str, str]) -> pathlib.Path:
    """Returns a root with what a kernel tells of a process."""
    told = {
        "proc/self/statm": f"9999 {PAGES} 5 1 0 7 0\n",
        "proc/self/cgroup": groups,
        "proc/meminfo": f"MemTotal:  20000 kB\nMemAvailable:  {FREE // 1024} kB\nHugePages_Total:  0\n",
    }
    for name, text in (told | files).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture(autouse=True)
def _pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beam_obs.metrics.process_memory._page_bytes", lambda: 4096)


def second(folder: str, limit: str, usage: int, cache: int = 0) -> dict[str, str]:
    inside = f"sys/fs/cgroup/{folder}".rstrip("/")
    return {
        f"{inside}/memory.max": f"{limit}\n",
        f"{inside}/memory.current": f"{usage}\n",
        f"{inside}/memory.stat": f"anon 1\ninactive_file {cache}\n",
    }


def first(folder: str, limit: int, usage: int, cache: int = 0) -> dict[str, str]:
    inside = f"sys/fs/cgroup/memory/{folder}".rstrip("/")
    return {
        f"{inside}/memory.limit_in_bytes": f"{limit}\n",
        f"{inside}/memory.usage_in_bytes": f"{usage}\n",
        f"{inside}/memory.stat": f"cache 1\ninactive_file 5\ntotal_inactive_file {cache}\n",
    }


@pytest.mark.parametrize(
    ("groups", "files", "left"),
    [
        ("", {}, FREE),
        ("0::/a/b\n", second("a/b", str(4 * MB), 3 * MB), MB),
        # A limit around it is one too; what has none has "max".
        ("0::/a/b\n", second("a", str(6 * MB), 4 * MB) | second("a/b", "max", MB), 2 * MB),
        # In a container its path is that of the host, and its own group stands at the top.
        ("0::/kubepods/pod7/c9\n", second("", str(9 * MB), 8 * MB, cache=MB), 2 * MB),
        ("5:cpu:/x\n4:memory:/a\n0::/\n", first("a", 4 * MB, 3 * MB, cache=MB // 2), MB + MB // 2),
        ("4:memory,hugetlb:/\n", first("", 2**63 - 4096, 3 * MB), FREE),
        # Over its limit, as a group is while something is taken from it.
        ("0::/a\n", second("a", str(MB), 2 * MB), 0),
        ("0::/a\n", {"sys/fs/cgroup/a/memory.max": "7000000", "sys/fs/cgroup/a/memory.current": "?"}, FREE),
    ],
)
def test_a_process_can_have_what_it_has_and_what_is_left(
    tmp_path: pathlib.Path, groups: str, files: dict[str, str], left: int
) -> None:
    assert process_memory(system(tmp_path, groups, files)) == ProcessMemory(USED, USED + left)


def test_nothing_is_known_where_the_system_does_not_tell(tmp_path: pathlib.Path) -> None:
    assert process_memory(tmp_path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells")
def test_it_grows_with_what_this_process_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    before = process_memory()
    held = bytearray(80 * MB)
    after = process_memory()
    assert before is not None
    assert after is not None
    assert len(held) == 80 * MB
    assert 60 * MB < after.used - before.used < 120 * MB
    assert after.used < after.limit
