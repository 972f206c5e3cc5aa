"""A Flink cluster that stays: `python -m tests.engines.flink.local up`, and `down`; `make flink-up` calls it.

It is the cluster of the tests, kept by a process of its own until that is told to end. Its folder is
`$BEAM_OBS_FLINK`, else `flink-cluster` in the cache: configuration, logs, `options`, `pid` of that process.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

from tests.engines.flink.cluster import Cluster, what_is_missing
from tests.engines.install import cache

_PROJECT = pathlib.Path(__file__).parents[3]
_UP_SECONDS = 300
_DOWN_SECONDS = 30


def folder() -> pathlib.Path:
    """Returns the folder of the cluster."""
    return pathlib.Path(os.environ.get("BEAM_OBS_FLINK") or cache() / "flink-cluster")


def up() -> int:
    """Starts the cluster, unless it is there, and prints the options of pipelines; returns the exit code."""
    if missing := what_is_missing():
        print(missing, file=sys.stderr)
        return 1
    if _keeper() is None:
        shutil.rmtree(folder(), ignore_errors=True)
        folder().mkdir(parents=True)
        with (folder() / "keeper.log").open("wb") as log:
            keeper = subprocess.Popen(
                [sys.executable, "-m", __spec__.name, "keep"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=_PROJECT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _UP_SECONDS
        while not (folder() / "options").exists():
            if keeper.poll() is not None or time.monotonic() > deadline:
                print((folder() / "keeper.log").read_text(), file=sys.stderr)
                return 1
            time.sleep(0.2)
    print((folder() / "options").read_text(), end="")
    return 0


def keep() -> int:
    """Holds the cluster until this process is told to end; returns the exit code."""
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    (folder() / "pid").write_text(str(os.getpid()))
    cluster = Cluster(folder())
    try:
        cluster.start()
        whole = folder() / "options.new"
        whole.write_text(" ".join(cluster.options) + "\n")
        whole.rename(folder() / "options")
        end.wait()
    finally:
        cluster.stop()
        (folder() / "pid").unlink()
    return 0


def down() -> int:
    """Ends the cluster; returns the exit code."""
    keeper = _keeper()
    if keeper is None:
        print("no cluster is up")
        return 0
    os.kill(keeper, signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_SECONDS
    while _keeper() is not None:
        if time.monotonic() > deadline:
            print(f"process {keeper} does not end: {folder()}", file=sys.stderr)
            return 1
        time.sleep(0.2)
    shutil.rmtree(folder(), ignore_errors=True)
    print("the cluster is down")
    return 0


def _keeper() -> int | None:
    """Returns the id of the process that holds the cluster; None where there is none."""
    with contextlib.suppress(OSError, ValueError):
        found = int((folder() / "pid").read_text())
        if __spec__.name.encode() in pathlib.Path(f"/proc/{found}/cmdline").read_bytes():
            return found
    return None


if __name__ == "__main__":
    sys.exit({"up": up, "down": down, "keep": keep}[sys.argv[1]]())
