"""The user's code of a stage in a process of its own, which may hang, be killed, or take all memory.

One process for each DoFn of a worker, made anew when it has to be ended. A thread cannot be ended, nor a
worker whose interpreter aborts be saved: only a process of its own bounds what an element can do.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from typing import Any, NoReturn

import apache_beam as beam
from apache_beam.internal import pickler

from beam_obs.beam_private import STATE_SAMPLERS
from beam_obs.records.errors import (
    ElementFailed,
    ElementKilledProcess,
    ElementOutOfMemory,
    ElementTimeout,
    IsolationFailed,
)
from beam_obs.wrapper import isolated_process
from beam_obs.wrapper.current_origin import current_origin
from beam_obs.wrapper.failure import FAILURE
from beam_obs.wrapper.framed_socket import FramedSocket, packed, unpacked
from beam_obs.wrapper.hung_stack import failure_of_hung, stack_of
from beam_obs.wrapper.isolated_process import Raised, Start
from beam_obs.wrapper.user_callable import UserCallable

_TEARDOWN_SECONDS = 10.0
_DYING_SECONDS = 5.0
_START_BUNDLE, _TEAR_DOWN = packed((isolated_process.START_BUNDLE,)), packed((isolated_process.TEARDOWN,))
_SERVE = (
    "import sys; sys.path[:] = {path!r}\n"
    "from beam_obs.wrapper.isolated_process import serve\n"
    "serve({channel}, {lifeline}, {stacks})"
)


@dataclasses.dataclass(frozen=True)
class Isolation:
    """What an element may take of the process that its code runs in.

    Args:
      timeout: seconds for one element; None for any time.
      memory: bytes beside those that the process has when it is set up; None for any number.
    """

    timeout: float | None = None
    memory: int | None = None


class IsolatedDoFn:
    """Runs a user's DoFn in a process of its own.

    Args:
      dofn: the user's.
      isolation: what an element may take.
      stage: label of the stage.
    """

    def __init__(self, dofn: beam.DoFn, isolation: Isolation, stage: str) -> None:
        self._dofn = dofn
        self._isolation = isolation
        self._stage = stage
        self._process: _Process | None = None
        self._is_in_bundle = False

    def setup(self) -> None:
        """Starts the process, and sets the DoFn up in it.

        Raises:
          IsolationFailed: that failed; the user's own error is its cause.
        """
        try:
            self._process = _Process(self._start_message())
            self._settle(self._process.answer(None))
        except (EOFError, OSError) as error:
            text = f"{error}" if self._process is None else f"its process {self._process.died()}"
            self._process = None
            raise IsolationFailed(self._stage, text) from error
        except Exception as error:
            self._end()
            raise IsolationFailed(self._stage, f"{type(error).__name__}: {error}") from error

    def start_bundle(self) -> None:
        """Starts a bundle."""
        self._is_in_bundle = True
        if self._process is not None:  # one that is made anew does so then
            self._begin()

    def finish_bundle(self) -> None:
        """Ends a bundle: what is asked of a DoFn then, an isolated one has not."""
        self._is_in_bundle = False

    def teardown(self) -> None:
        """Tears the DoFn down and ends the process."""
        if self._process is None:
            return
        try:
            self._settle(self._process.ask(_TEAR_DOWN, time.monotonic() + _TEARDOWN_SECONDS))
        except (TimeoutError, EOFError, OSError, ElementKilledProcess):
            pass
        finally:
            self._end()

    def around(self, called: UserCallable) -> UserCallable:
        """Returns a callable of the same kind whose function runs in the process."""
        return called._replace(function=self._call)

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        request = packed((isolated_process.CALL, current_origin(), args, kwargs))
        if self._process is None:
            self.setup()
            if self._is_in_bundle:
                self._begin()
        assert self._process is not None
        timeout = self._isolation.timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            answer = self._process.ask(request, deadline)
        except TimeoutError:
            stack = self._process.stack()
            self._end()
            error = ElementTimeout(self._stage, timeout or 0)
            setattr(error, FAILURE, failure_of_hung(error, self._stage, stack))
            raise error from None
        except (EOFError, OSError):
            self._died()
        return self._settle(answer)

    def _begin(self) -> None:
        assert self._process is not None
        try:
            self._settle(self._process.ask(_START_BUNDLE, None))
        except (EOFError, OSError, ElementKilledProcess) as error:
            self._end()
            raise IsolationFailed(self._stage, f"{type(error).__name__}: {error}") from error

    def _settle(self, answer: tuple[Any, ...]) -> Any:
        kind, *rest = answer
        if kind == isolated_process.OUT_OF_MEMORY:
            self._end()
            raise ElementOutOfMemory(self._stage, self._isolation.memory)
        if kind == isolated_process.ENDED:
            self._end()
            raise ElementKilledProcess(self._stage, f"raised {rest[0]}")
        told, *counted = rest
        if counted and self._process is not None:
            self._process.count(*counted)
        if kind == isolated_process.ERROR:
            raise _as_raised(told)
        return told

    def _died(self) -> NoReturn:
        process, self._process = self._process, None
        assert process is not None
        raise ElementKilledProcess(self._stage, process.died()) from None

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def _start_message(self) -> Start:
        manager = logging.root.manager
        levels = {
            name: logger.level
            for name, logger in list(manager.loggerDict.items())
            if isinstance(logger, logging.Logger) and logger.level
        }
        return Start(
            pickler.dumps(self._dofn),
            pickler.is_currently_dill(),
            self._stage,
            self._isolation.memory,
            {**levels, "": logging.root.level},
        )


def _as_raised(raised: Raised) -> Exception:
    """Returns the error that the user's code raised, with what its traceback said."""
    try:
        if raised.error is None:
            raise ValueError
        error: Exception = unpacked(raised.error)
        setattr(error, FAILURE, raised.failure)
    except Exception:
        error = ElementFailed(raised.failure.error_type, raised.failure.message)
        setattr(error, FAILURE, raised.failure)
    error.__cause__ = _ThereRaised(raised.failure.traceback)
    return error


class _ThereRaised(Exception):
    """Shows the traceback of another process."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


_KEYS: dict[tuple[Any, str], Any] = {}
"""Keys of metrics, one for each kind and name: cells of instruments know each other by them."""


class _Process:
    """A process that serves.

    Args:
      start: what it is told first.
    """

    def __init__(self, start: Start) -> None:
        self._keys: dict[int, Any] = {}
        ours, theirs = socket.socketpair()
        lifeline, held = os.pipe()
        self._stacks, stacks = os.pipe()
        given = theirs.fileno(), lifeline, stacks
        text = _SERVE.format(path=sys.path, channel=given[0], lifeline=lifeline, stacks=stacks)
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-c", text], pass_fds=given, stdin=subprocess.DEVNULL
            )
        except BaseException:
            ours.close()
            os.close(held)
            os.close(self._stacks)
            raise
        finally:
            theirs.close()
            os.close(lifeline)
            os.close(stacks)
        self._connection = FramedSocket(ours)
        # Also where Beam forgets the DoFn, or the interpreter ends, without a teardown.
        self._finalizer = weakref.finalize(self, _end, self._popen, self._connection, (held, self._stacks))
        self._connection.send(packed(start))

    def ask(self, request: bytes, deadline: float | None) -> tuple[Any, ...]:
        """Returns the answer to a request, which `packed` gave.

        Raises:
          TimeoutError: there was none up to a moment of `time.monotonic`.
          EOFError, OSError: the process is gone.
        """
        self._connection.send(request, deadline)
        return self.answer(deadline)

    def answer(self, deadline: float | None) -> tuple[Any, ...]:
        """Returns the next answer; log records before it are handled here, where their step is known."""
        while True:
            kind, *rest = self._connection.receive(deadline)
            if kind != isolated_process.LOG:
                return (kind, *rest)
            record = logging.makeLogRecord(rest[0])
            logger = logging.getLogger(record.name)
            if logger.isEnabledFor(record.levelno):
                logger.handle(record)

    def count(self, values: dict[int, Any], new: dict[int, Any]) -> None:
        """Counts in the step at work what was counted in the process."""
        for number, key in new.items():
            kind, name = key.__reduce__()[1]
            self._keys[number] = _KEYS.setdefault(
                (kind if isinstance(kind, type) else type(kind), str(name)), key
            )
        tracker = getattr(STATE_SAMPLERS, "tracker", None)
        if tracker is None:
            return
        for number, found in values.items():
            for value in found if isinstance(found, list) else (found,):
                tracker.update_metric(self._keys[number], value)

    def stack(self) -> str:
        """Returns the stack of the process, which hangs."""
        return stack_of(self._popen.pid, self._stacks)

    def died(self) -> str:
        """Returns what became of the process, which is gone."""
        try:
            code = self._popen.wait(_DYING_SECONDS)
        except subprocess.TimeoutExpired:
            self.end()
            return "closed its connection"
        self.end()
        if code >= 0:
            return f"ended with exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = ", as the kernel does where memory is out" if name == "SIGKILL" else ""
        return f"was ended by {name}{hint}"

    def end(self) -> None:
        """Ends the process, and waits until it is gone."""
        self._finalizer()


def _end(popen: subprocess.Popen[bytes], connection: FramedSocket, pipes: tuple[int, ...]) -> None:
    connection.close()
    for pipe in pipes:
        os.close(pipe)
    popen.kill()
    popen.wait()
