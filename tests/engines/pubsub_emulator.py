"""Google's Pub/Sub emulator, started on a free port of this machine and stopped by its process."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

_INSTALLED_BY = "gcloud components install pubsub-emulator (or apt install google-cloud-cli-pubsub-emulator)"


def emulator_program() -> str:
    """Returns the emulator's script; skips the test where there is none."""
    found = shutil.which("cloud-pubsub-emulator")
    gcloud = shutil.which("gcloud")
    if found is None and gcloud is not None:
        sdk = pathlib.Path(gcloud).resolve().parents[1]
        script = sdk / "platform" / "pubsub-emulator" / "bin" / "cloud-pubsub-emulator"
        found = str(script) if script.exists() else None
    if found is None:
        pytest.skip(f"the Pub/Sub emulator is not installed: {_INSTALLED_BY}")
    return found


@contextlib.contextmanager
def running_emulator() -> Iterator[str]:
    """Gives host and port of an emulator that is ready."""
    program = emulator_program()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program, "--host=127.0.0.1", f"--port={port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(port, process)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    raise RuntimeError(f"the Pub/Sub emulator (process {process.pid}, port {port}) did not start")
