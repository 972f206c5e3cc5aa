"""Prism, Beam's portable runner in Go, as `make engines` installs it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.engines.install import PRISM, program
from tests.engines.object_stores import free_port
from tests.patience import wait_until

_PROJECT = pathlib.Path(__file__).parents[2]
_AS_LONG_AS_IT_TAKES = "--job_server_timeout=7200"
"""Beam waits five minutes for a job, by default."""


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
