"""The process that programs of tests are forked from: what they import is there already.

A program has the arguments, folder, environment, outputs and exit code that `python ...` would give it. It
has the seed of hashes in common with others; `tests/programs.py` asks for programs.
"""

from __future__ import annotations

import builtins
import contextlib
import fcntl
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import time
from typing import Any

_IMPORTED = (
    "apache_beam.runners.direct.direct_runner",
    "apache_beam.runners.portability.fn_api_runner.fn_runner",
    "apache_beam.runners.portability.fn_api_runner.worker_handlers",
    "apache_beam.runners.worker.bundle_processor",
    "apache_beam.runners.worker.sdk_worker",
    # Beam asks it, where it is installed, whether a program is a notebook.
    "IPython",
    "beam_obs.cli.main",
    "beam_obs.io.reads.csv_source",
    "beam_obs.io.writes.json_sink",
    "beam_obs.lineage.backward",
    "beam_obs.reports.lineage_text",
    "beam_obs.reports.run_report",
    "beam_obs.runs.launched",
    "beam_obs.runs.pipeline",
    "beam_obs.store.read_run_record",
    "beam_obs.weaving.hook",
    "multiprocessing.dummy",
)


def serve(channel: socket.socket, others: socket.socket, folder: str) -> None:
    """Forks a program for each request until nobody is there to ask; in a program, runs it.

    Args:
      channel: to the process that asks, and ends it by closing it.
      others: listens for programs that ask for others.
      folder: of the `python` that they ask by; it goes when nobody is there to ask.
    """
    for name in _IMPORTED:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    path = [entry for entry in sys.path[1:] if entry not in _added_to_path()]
    # Else each program would look through all that was imported once more as it ends.
    gc.freeze()
    # Nobody waits for the processes that wait for programs.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        asks, _, _ = select.select([channel, others], [], [])
        asking = channel if channel in asks else others.accept()[0]
        asking.setblocking(True)
        asked, files, _, _ = socket.recv_fds(asking, 1, 16)
        if asking is not channel:
            asking.close()
        elif not asked:
            shutil.rmtree(folder)
            return
        if asked and os.fork() == 0:
            channel.close()
            others.close()
            request, *rest = files
            _fork(rest)
            with open(request, encoding="utf-8") as file:
                told = json.load(file)
            _number(rest[3:], told["pass_fds"])
            if told["forks"]:
                sys.executable = f"{folder}/python"
            _run(told, path)
            return
        for number in files:
            os.close(number)


def _fork(files: list[int]) -> None:
    """Forks the program, and tells its process id and then its exit code; returns in the program."""
    output, errors, told, *passed = files
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    program = os.fork()
    if program:
        # Who waits for it to close what it was given waits for it alone.
        for number in passed:
            os.close(number)
        os.write(told, f"{program}\n".encode())
        _, status = os.waitpid(program, 0)
        os.write(told, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)
    os.dup2(output, 1)
    os.dup2(errors, 2)
    for file in (output, errors, told):
        os.close(file)
    # Those of the server are of files that can be sought in, which a pipe cannot.
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", encoding=sys.stdout.encoding, closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, sys.stderr.encoding, "backslashreplace", closefd=False)


def _number(files: list[int], numbers: list[int]) -> None:
    """Gives files the numbers that they shall have."""
    # None of those that are wanted are among these.
    apart = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 500) for file in files]
    for file in files:
        os.close(file)
    for file, number in zip(apart, numbers, strict=True):
        os.dup2(file, number)
        os.close(file)


def _run(request: dict[str, Any], path: list[str]) -> None:
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    (first, *rest), main = request["arguments"], vars(sys.modules["__main__"])
    main.clear()
    main.update(__name__="__main__", __builtins__=builtins, __spec__=None, __package__=None, __doc__=None)
    if first == "-m":
        sys.path[:] = [os.getcwd(), *_added_to_path(), *path]
        sys.argv = ["-m", *rest[1:]]
        runpy._run_module_as_main(rest[0])  # type: ignore[attr-defined]
    elif first == "-c":
        sys.path[:] = ["", *_added_to_path(), *path]
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec", dont_inherit=True), main)
    else:
        sys.path[:] = [os.path.dirname(os.path.realpath(first)), *_added_to_path(), *path]
        sys.argv = [first, *rest]
        main["__file__"] = first
        with open(first, "rb") as file:
            code = file.read()
        exec(compile(code, first, "exec", dont_inherit=True), main)


def _added_to_path() -> list[str]:
    return [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
