"""Programs run as a user runs them, in processes of their own, but for the time that importing Beam takes.

They are forked from one process that has imported it (`tests/program_server.py`). A test about imports, about
what Python does at its start, or about another seed of hashes starts a fresh Python.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import IO, Any

ROOT = pathlib.Path(__file__).parents[1]
_SERVE = """
import socket, sys
from tests.program_server import serve
serve(socket.socket(fileno=int(sys.argv[1])))
"""


class Program:
    """A program that was started; its methods are those of `subprocess.Popen`.

    Args:
      arguments: as behind `python`: a file, ``-m`` and a module or ``-c`` and code, then the program's own.
      cwd: its folder; that of this process by default.
      env: its environment; that of this process by default, with this package on its path.
      output: file descriptor for what it prints, and its errors; `communicate` then gives nothing.
      pass_fds: file descriptors that it has too, by the same numbers.
    """

    def __init__(
        self,
        arguments: list[str],
        *,
        cwd: str | os.PathLike[str] | None = None,
        env: dict[str, str] | None = None,
        output: int | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.args = [sys.executable, *arguments]
        self.returncode: int | None = None
        self._output, self._errors = _unnamed_file(), _unnamed_file()
        told, tells = os.pipe()
        self._told = os.fdopen(told, "rb", buffering=0)
        request = {
            "arguments": arguments,
            "cwd": os.path.abspath(cwd or os.getcwd()),
            "env": _environment(env),
            "pass_fds": pass_fds,
        }
        with _unnamed_file() as asked:
            asked.write(json.dumps(request).encode())
            asked.seek(0)
            outputs = [file.fileno() if output is None else output for file in (self._output, self._errors)]
            files = [asked.fileno(), *outputs, tells, *pass_fds]
            socket.send_fds(_server()[0], [b"."], files)
        os.close(tells)
        self.pid = int(self._told.readline())

    def poll(self) -> int | None:
        """Returns the exit code; None while it runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit code when it has ended.

        Raises:
          subprocess.TimeoutExpired: it runs for more than `timeout` seconds.
        """
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Returns what it printed, and its errors, when it has ended; raises as `wait` does."""
        self.wait(timeout)
        return _text(self._output), _text(self._errors)

    def send_signal(self, number: signal.Signals) -> None:
        """Sends it a signal, where it has not ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], timeout)[0]:
            self.returncode = int(self._told.readline())
        return self.returncode


def run(
    arguments: list[str],
    *,
    cwd: str | os.PathLike[str] | None = None,
    env: dict[str, str] | None = None,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end; takes what `Program` does, and how many seconds it may take."""
    program = Program(arguments, cwd=cwd, env=env)
    try:
        output, errors = program.communicate(timeout)
    except BaseException:
        program.kill()
        raise
    return subprocess.CompletedProcess(program.args, program.wait(), output, errors)


def forked(command: Sequence[str], *, pass_fds: Sequence[int] = (), **_: Any) -> Program:
    """Starts a Python as `subprocess.Popen` does, forked as all programs are.

    Args:
      command: this Python and its arguments.
      pass_fds: file descriptors that it has too.
    """
    _, *arguments = command
    return Program(arguments, pass_fds=pass_fds)


def run_fresh(
    arguments: list[str],
    *,
    cwd: str | os.PathLike[str] | None = None,
    env: dict[str, str] | None = None,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Runs a program as `run` does, but in a Python that was started for it."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=_environment(env),
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def _environment(env: dict[str, str] | None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)} if env is None else env


def _unnamed_file() -> IO[bytes]:
    return tempfile.TemporaryFile(buffering=0)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@functools.cache
def _server() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, its = socket.socketpair()
    for end in (ours, its):  # Beam's reader of credentials gives all sockets of a process a time-out
        end.setblocking(True)
    with its:
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(its.fileno())],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            pass_fds=[its.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    # It ends with this process: nobody asks it any more then.
    return ours, process
