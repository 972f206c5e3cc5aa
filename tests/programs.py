"""Programs run as a user runs them, in processes of their own, but for the time that importing Beam takes.

They are forked from one process that has imported it (`tests/program_server.py`), and so are those that
shells, make and programs start by a command of `stand_ins`. A test about imports, about what Python does
at its start, or about another seed of hashes starts a fresh Python.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pathlib
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import IO, Any, NamedTuple, NoReturn

ROOT = pathlib.Path(__file__).parents[1]
_SERVE = """
import socket, sys
from tests.program_server import serve
channel, others = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
serve(channel, others, sys.argv[3])
"""
_STAND_IN = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.programs import stand_in
stand_in(*sys.argv[2:])
"""
_ASKED = "asked"
"""Name of the socket, in the folder of stand-ins, at which they ask for programs."""


class Program:
    """A program that was started; its methods are those of `subprocess.Popen`.

    Args:
      arguments: as behind `python`: a file, ``-m`` and a module or ``-c`` and code, then the program's own.
      cwd: its folder; that of this process by default.
      env: its environment; that of this process by default, with this package on its path.
      output: file descriptor for what it prints, and its errors, or one for each; `communicate` then gives
        nothing.
      pass_fds: file descriptors that it has too, by the same numbers.
      forks: whether Pythons that it starts are forked too.
      server: a connection to the process that it is forked from; by default this process's own.
    """

    def __init__(
        self,
        arguments: list[str],
        *,
        cwd: str | os.PathLike[str] | None = None,
        env: dict[str, str] | None = None,
        output: int | tuple[int, int] | None = None,
        pass_fds: Sequence[int] = (),
        forks: bool = False,
        server: socket.socket | None = None,
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
            "forks": forks,
        }
        with _unnamed_file() as asked:
            asked.write(json.dumps(request).encode())
            asked.seek(0)
            both = (output, output) if isinstance(output, int) else output
            outputs = both or (self._output.fileno(), self._errors.fileno())
            files = [asked.fileno(), *outputs, tells, *pass_fds]
            socket.send_fds(server or _server().channel, [b"."], files)
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
    forks: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end; takes what `Program` does, and how many seconds it may take."""
    program = Program(arguments, cwd=cwd, env=env, forks=forks)
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


def stand_ins() -> pathlib.Path:
    """Returns a folder of `python` and `beam-obs`: their programs are forked, and those that these start."""
    return _server().folder


def stand_in(folder: str, *arguments: str) -> NoReturn:
    """Is the program that `python` of a folder of `stand_ins` was asked for."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(f"{folder}/{_ASKED}")
        program = Program(list(arguments), env=dict(os.environ), output=(1, 2), forks=True, server=server)
        sys.exit(program.wait())


class _Server(NamedTuple):
    channel: socket.socket
    process: subprocess.Popen[bytes]
    folder: pathlib.Path


@functools.cache
def _server() -> _Server:
    folder = pathlib.Path(tempfile.mkdtemp())
    ours, its = socket.socketpair()
    others = socket.socket(socket.AF_UNIX)
    for end in (ours, its, others):  # Beam's reader of credentials gives all sockets of a process a time-out
        end.setblocking(True)
    others.bind(f"{folder}/{_ASKED}")
    others.listen()
    for name, before in (("python", ""), ("beam-obs", "-m beam_obs.cli")):
        asks = shlex.join([sys.executable, "-IS", "-c", _STAND_IN, str(ROOT), str(folder)])
        (folder / name).write_text(f'#!/bin/sh\nexec {asks} {before} "$@"\n')
        (folder / name).chmod(0o755)
    with its, others:
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, *map(str, (its.fileno(), others.fileno(), folder))],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            pass_fds=[its.fileno(), others.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    # It ends with this process: nobody asks it any more then.
    return _Server(ours, process, folder)
