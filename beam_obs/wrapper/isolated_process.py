"""The process in which the code of an isolated stage runs: it does what its worker asks, one thing at a time.

It tells its worker of log records as they come, and with each answer what was counted meanwhile. It ends with
its worker: the pipe that holds it alive closes, whatever became of the worker.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from apache_beam.internal import pickler
from apache_beam.metrics.cells import CounterCell
from apache_beam.transforms import core

from beam_obs.beam_private import STATE_SAMPLERS
from beam_obs.wrapper.dofn_parameters import element_at, taking_it_first
from beam_obs.wrapper.failure import Failure, failure_of
from beam_obs.wrapper.framed_socket import FramedSocket, packed, unpacked
from beam_obs.wrapper.hung_stack import tell_stacks
from beam_obs.wrapper.user_callable import FILTER, MAP, MAP_TUPLE, user_callable

CALL, TEARDOWN = "call", "teardown"
START_BUNDLE = "start_bundle"
RESULT, ERROR, OUT_OF_MEMORY, ENDED, LOG = "result", "error", "out of memory", "ended", "log"

_WHOLE = frozenset({list, tuple, type(None), str, bytes, dict})


class Start(NamedTuple):
    """What a process is told first.

    Args:
      dofn: the user's DoFn, by Beam's pickler.
      uses_dill: whether that pickler is dill.
      stage: label of the stage.
      memory: bytes that the process may have beside those that it has when it is set up; None for any number.
      log_levels: of the worker's loggers; that of the root logger by an empty name.
    """

    dofn: bytes
    uses_dill: bool
    stage: str
    memory: int | None
    log_levels: dict[str, int]


class Raised(NamedTuple):
    """An error of the user's code.

    Args:
      error: the exception, packed; None where it cannot be.
      failure: what it says.
    """

    error: bytes | None
    failure: Failure


def serve(channel: int, lifeline: int, stacks: int) -> None:
    """Does what is asked, until nobody is there to ask.

    Args:
      channel: file descriptor of the socket to the worker.
      lifeline: file descriptor of a pipe that the worker holds open.
      stacks: file descriptor of a pipe for what the worker asks of a process that hangs.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal all processes get it: the worker decides
    _end_with(lifeline)
    tell_stacks(stacks)
    connection = FramedSocket(socket.socket(fileno=channel))
    with contextlib.suppress(EOFError, OSError):
        _Server(connection).run()


def _end_with(lifeline: int) -> None:
    """Ends this process when the other end of a pipe is closed, also while C code holds the interpreter."""

    def wait() -> None:
        os.read(lifeline, 1)
        os._exit(0)

    threading.Thread(target=wait, name="beam_obs lifeline", daemon=True).start()
    with contextlib.suppress(AttributeError, OSError):  # Linux: the kernel sends SIGIO, which ends a process
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)


class _Server:
    def __init__(self, connection: FramedSocket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._counts = _Counts()

    def run(self) -> None:
        start: Start = self._connection.receive()
        self._stage = start.stage
        _log_to(self, start.log_levels)
        STATE_SAMPLERS.tracker = self._counts
        if not self._answer(lambda: self._set_up(start)):
            return
        while True:
            request = self._connection.receive()
            goes_on = self._answer(functools.partial(self._do, *request))
            if request[0] == TEARDOWN or not goes_on:
                return

    def send(self, message: Any) -> None:
        """Sends a message; any thread may."""
        with self._lock:
            self._connection.send(message if isinstance(message, bytes) else packed(message))

    def _set_up(self, start: Start) -> None:
        if start.uses_dill:
            pickler.set_library(pickler.USE_DILL)
        self._dofn = pickler.loads(start.dofn)
        self._call = _caller(self._dofn)
        self._dofn.setup()
        if start.memory is not None:
            _limit_memory(start.memory)

    def _do(self, asked: str, *arguments: Any) -> Any:
        if asked == CALL:
            return woven_process(self._call, *arguments)
        return getattr(self._dofn, asked)()

    def _answer(self, do: Callable[[], Any]) -> bool:
        """Does something and tells what came of it; returns whether the process can go on."""
        message, goes_on = self._told(do)
        self.send(message)
        return goes_on

    def _told(self, do: Callable[[], Any]) -> tuple[Any, bool]:
        counted: tuple[Any, ...] = ()
        try:
            result = do()
            counted = self._counts.taken()
            return packed((RESULT, result, *counted)), True
        except MemoryError:
            # What the code holds is in a state that nobody knows.
            return (OUT_OF_MEMORY,), False
        except Exception as error:
            return (ERROR, _raised(error, self._stage), *(counted or self._counts.taken())), True
        except BaseException as error:
            return (ENDED, f"{type(error).__name__}: {error}"), False


def woven_process(call: Callable[..., Any], provenance: bytes | None, args: Any, kwargs: Any) -> Any:
    """Calls the user's function; `current_origin` looks for the name of this one, and for `provenance`."""
    return call(*args, **kwargs)


def _caller(dofn: Any) -> Callable[..., Any]:
    """Returns what gives the whole result of an element: nothing lazy leaves the process."""
    kind, function = user_callable(dofn)
    at = element_at(*core.get_function_arguments(dofn, "process"))
    if at:
        function = taking_it_first(function, at)
    if kind == FILTER:
        return lambda *args, **kwargs: bool(function(*args, **kwargs))
    if kind in (MAP, MAP_TUPLE):
        return function

    def whole(*args: Any, **kwargs: Any) -> Any:
        results = function(*args, **kwargs)
        return results if results.__class__ in _WHOLE else list(results)

    return whole


def _raised(error: Exception, stage: str) -> Raised:
    failure = failure_of(error, stage)
    try:
        data = packed(error)
        unpacked(data)  # a class with arguments of its own may refuse
    except Exception:
        return Raised(None, failure)
    return Raised(data, failure)


def _limit_memory(beside: int) -> None:
    """Limits the memory of this process to what it has and so many bytes beside."""
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:
        has = int(file.read().split()[0]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (has + beside, most))


class _Counts:
    """Stands for Beam's tracker of the step at work: keeps what is counted, for the worker to count."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._new: dict[int, Any] = {}
        self._values: dict[int, Any] = {}

    def update_metric(self, key: Any, value: Any) -> None:
        """Is what Beam's metrics, and instruments, call."""
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers)
            self._new[number] = key
        if key.__reduce__()[1][0] is CounterCell:
            self._values[number] = self._values.get(number, 0) + value
        else:
            self._values.setdefault(number, []).append(value)

    def taken(self) -> tuple[Any, ...]:
        """Returns what was counted since it was last asked; nothing where there is nothing."""
        if not self._values:
            return ()
        values, self._values = self._values, {}
        new, self._new = self._new, {}
        return (values, new)


class _LogSender(logging.Handler):
    def __init__(self, server: _Server) -> None:
        super().__init__()
        self._server = server
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            told = dict(record.__dict__)
            told["msg"], told["args"] = record.getMessage(), None
            if record.exc_info:
                told["exc_text"], told["exc_info"] = self._formatter.formatException(record.exc_info), None
            try:
                message = packed((LOG, told))
            except Exception:  # of extra fields the user may have given anything
                known = logging.LogRecord("", 0, "", 0, "", None, None).__dict__
                message = packed((LOG, {name: told[name] for name in known}))
            self._server.send(message)
        except Exception:
            self.handleError(record)


def _log_to(server: _Server, levels: dict[str, int]) -> None:
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    logging.getLogger().handlers[:] = [_LogSender(server)]
