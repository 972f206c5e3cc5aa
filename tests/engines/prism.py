"""Prism, Beam's portable runner in Go, as `make engines` installs it."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.engines.install import PRISM, program
from tests.engines.object_stores import free_port
from tests.patience import wait_until

_PROJECT = pathlib.Path(__file__).parents[2]
_AS_LONG_AS_IT_TAKES = "--job_server_timeout=7200"
"""Beam waits five minutes for a job, by default."""

_EMPTY_SIDE_INPUT = "'EmptySideInput' object is not iterable"
"""What Beam's write of a stream fails with where Prism hands it a side input before it is there."""
_TIMES = 3


def again_where_prism_lost_a_side_input(test: Callable[..., None]) -> Callable[..., None]:
    """Lets a test of a stream that writes files try again, where it failed for that (docs/engines.md)."""

    @functools.wraps(test)
    def tried(tmp_path: pathlib.Path, **fixtures: object) -> None:
        for attempt in range(_TIMES):
            folder = tmp_path / str(attempt)
            folder.mkdir()
            try:
                return test(tmp_path=folder, **fixtures)
            except Exception as error:
                told = [str(error), *(end.read_text() for end in folder.rglob("end.json"))]
                if attempt == _TIMES - 1 or not any(_EMPTY_SIDE_INPUT in one for one in told):
                    raise

    return tried


def prism_options() -> list[str]:
    """Returns the options of a pipeline that runs on Prism; skips the test where there is none."""
    found = program(PRISM, "prism")
    if found is None:
        pytest.skip("Prism is not installed: make engines (it needs Go)")
    return [f"--prism_location={found}", "--environment_type=LOOPBACK", _AS_LONG_AS_IT_TAKES]


@contextlib.contextmanager
def running_prism(folder: pathlib.Path) -> Iterator[list[str]]:
    """Runs Prism and a pool of workers, each a process of its own; gives options of a pipeline for them.

    Args:
      folder: for what they log.
    """
    prism_options()
    jobs, workers = free_port(), free_port()
    # A pool starts its workers as `python`.
    path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": f"{_PROJECT}{os.pathsep}{pathlib.Path.cwd()}"}
    pool = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={workers}"]
    server = [str(program(PRISM, "prism")), f"--job_port={jobs}", "--serve_http=false"]
    with (folder / "log").open("w") as log:
        started = [
            subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
            for command in (server, pool)
        ]
        try:
            wait_until("started, Prism and its pool of workers", lambda: _is_open(jobs) and _is_open(workers))
            yield [
                "--runner=PortableRunner",
                _AS_LONG_AS_IT_TAKES,
                f"--job_endpoint=localhost:{jobs}",
                "--environment_type=EXTERNAL",
                f"--environment_config=localhost:{workers}",
            ]
        finally:
            for process in started:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, 9)
                process.wait()


def _is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 1):
        return True
    return False
