"""Google's Pub/Sub emulator, as the Google Cloud SDK of this machine has it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

HOW_TO_INSTALL = "gcloud components install pubsub-emulator (or apt install google-cloud-cli-pubsub-emulator)"
_NAME = "cloud-pubsub-emulator"
_STARTS_WITHIN = 60.0
_ENDS_WITHIN = 20.0


class NoEmulator(Exception):
    """The emulator is not installed, or did not start."""


def emulator_program() -> str:
    """Returns the path of the emulator's script.

    Raises:
      NoEmulator: it is not installed.
    """
    if (found := shutil.which(_NAME)) is not None:
        return found
    if (gcloud := shutil.which("gcloud")) is not None:
        sdk = pathlib.Path(gcloud).resolve().parents[1]
        script = sdk / "platform" / "pubsub-emulator" / "bin" / _NAME
        if script.exists():
            return str(script)
    raise NoEmulator(f"the Pub/Sub emulator is not installed: {HOW_TO_INSTALL}")


@contextlib.contextmanager
def running_emulator() -> Iterator[str]:
    """Gives host and port of an emulator that is ready, and ends it.

    Raises:
      NoEmulator: it is not installed, or did not start.
    """
    program = emulator_program()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program, "--host=127.0.0.1", f"--port={port}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(port, process)
        yield f"127.0.0.1:{port}"
    finally:
        # Its script starts Java as a process of its own: both are of one group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(_ENDS_WITHIN)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    raise NoEmulator(f"the Pub/Sub emulator did not start: {process.args!r} needs Java")
