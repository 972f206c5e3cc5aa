"""A user's function tried again where it fails for a while: a service that is down, a connection that breaks.

It stands around the user's callable, so that process functions are as they are. Lazy results are made whole
within the attempt: what is tried again gives nothing twice.

Whether a record or the service is to blame nobody can tell of one record. So a record that fails in each of
its attempts is refused, and when some in a row are, the service is taken for down: the next is waited for,
and where waiting does not help the bundle fails, with all that was refused in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, Protocol, TypeVar

from beam_obs.records.errors import ServiceDown, UsageError
from beam_obs.records.given import given_number
from beam_obs.records.number_text import counted
from beam_obs.records.public_names import known_by_public_name
from beam_obs.wrapper.exception_note import NOTE, put_note
from beam_obs.wrapper.failure import type_name
from beam_obs.wrapper.user_callable import FILTER, MAP, MAP_TUPLE, UserCallable

ATTEMPTS = "beam_obs_attempts"
"""Attribute of an exception that says how often its element was tried."""

_WHOLE = frozenset({list, tuple, type(None), str, bytes, dict})
"""Kinds of results that cannot fail any more; text is refused by the stage, as without a retry."""

_Result = TypeVar("_Result")


@known_by_public_name
@dataclasses.dataclass(frozen=True)
class Retry:
    """Which errors of a Stage's code are transient, and how often and how long it is tried again for them.

    An error of ``on`` is tried again after a pause; any other is a dead letter at once. The pause begins
    with ``backoff`` and doubles up to ``most``. A record that fails in all of its ``attempts`` is a dead
    letter, whose ``attempt`` says how many there were; the records behind it go on.

    Where ``down_after`` records in a row are given up, or none has ever gone well in the process, the service
    is taken for down: the Stage waits for it, trying the record at hand. When it is still down at the end of
    the budget, `ServiceDown` fails the bundle; nothing of it is a dead letter, and the runner tries it again.

    Args:
      on: classes of the errors that are transient, as the client of the service has them.
      attempts: how often a record is tried, the first time included.
      backoff: seconds to the second attempt.
      most: seconds that a pause has at most.
      jitter: share of a pause, 0 to 1, that is left to chance, so that workers do not come back all at once.
      budget: seconds for which the records of one bundle are tried again, pauses and attempts together. When
        it is used up, each record has one attempt.
      down_after: how many records in a row are given up before the service is taken for down.
      probe: a function without arguments that raises where the service is down. With it nothing is guessed:
        it is asked when a record is to be given up, and the record is refused only where the service is up.

    Raises:
      UsageError: an argument cannot be what it is.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> answers = [ConnectionError("reset"), 1]
    >>> def look_up(key):
    ...     answer = answers.pop(0)
    ...     if isinstance(answer, Exception):
    ...         raise answer
    ...     return key, answer
    >>> retry = obs.Retry(on=[ConnectionError, TimeoutError], attempts=3, backoff=0.01)
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     found, dead = (
    ...         p
    ...         | beam.Create(["a"])
    ...         | "look up" >> obs.Stage(beam.Map(look_up), retry=retry).with_dead_letters()
    ...     )
    ...     _ = found | beam.Map(print)
    ('a', 1)
    """

    on: Any = (ConnectionError, TimeoutError)
    attempts: int = 5
    backoff: float = 0.2
    most: float = 10.0
    jitter: float = 0.5
    budget: float = 60.0
    down_after: int = 3
    probe: Callable[[], Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "on", _error_types(self.on))
        given_number(self.attempts, "attempts", 1)
        given_number(self.down_after, "down_after", 1)
        for name in ("backoff", "most", "budget"):
            given_seconds(getattr(self, name), name)
        if not _is_number(self.jitter) or not 0 <= self.jitter <= 1:
            raise UsageError(
                f"jitter={self.jitter!r}: give a share of the pause from 0 to 1, e.g. 0.5 for half of it"
            )
        if self.probe is not None and not callable(self.probe):
            raise UsageError(
                f"probe={self.probe!r}: give a function without arguments that raises where the service "
                "is down"
            )

    def pauses(self) -> Iterator[float]:
        """Yields the pauses before the second attempt, the third, and so on, in seconds."""
        pause = min(self.backoff, self.most)
        while True:
            yield pause * (1 - self.jitter * random.random())
            pause = min(2 * pause, self.most)


def given_seconds(given: Any, argument: str) -> float:
    """Returns a number of seconds.

    Raises:
      UsageError: it is none, or negative.
    """
    if not _is_number(given) or given < 0:
        raise UsageError(f"{argument}={given!r}: give seconds, e.g. {argument}=2.5")
    return float(given)


def _is_number(given: Any) -> bool:
    return isinstance(given, (int, float)) and not isinstance(given, bool)


def _error_types(on: Any) -> tuple[type[Exception], ...]:
    found = (
        (on,) if isinstance(on, type) else tuple(on) if isinstance(on, (list, tuple, set, frozenset)) else ()
    )
    if not found or not all(isinstance(one, type) and issubclass(one, Exception) for one in found):
        raise UsageError(f"on={on!r}: give classes of exceptions, e.g. on=[ConnectionError, TimeoutError]")
    return found


class CountsRetried(Protocol):
    """What counts attempts beside the first ones."""

    retried: int


class _Service:
    """What a process knows of the service behind a stage, by what all of its workers saw.

    Args:
      worked: whether any record has gone well.
      in_a_row: how many records were given up since one did.
    """

    def __init__(self) -> None:
        self.worked = False
        self.in_a_row = 0
        self.is_doubted = True
        """Whether a record that goes well is news."""

    def note_works(self) -> None:
        self.worked, self.in_a_row, self.is_doubted = True, 0, False

    def note_given_up(self) -> None:
        self.in_a_row += 1
        self.is_doubted = True


_LOCK = threading.Lock()
_SERVICES: weakref.WeakValueDictionary[tuple[str, str], _Service] = weakref.WeakValueDictionary()


def _service_of(run: str, stage: str) -> _Service:
    with _LOCK:
        found = _SERVICES.get((run, stage))
        if found is None:
            found = _SERVICES[run, stage] = _Service()
        return found


class Retries:
    """Tries the elements of one wrapper again.

    Args:
      retry: when, and for how long.
      run: id of the run.
      stage: label of the stage.
      cap: outputs of an element that are made within an attempt; what comes behind them is not tried again.
      counts: whose `retried` counts attempts beside the first ones.
    """

    def __init__(self, retry: Retry, run: str, stage: str, cap: int, counts: CountsRetried) -> None:
        self._counts = counts
        self._retry = retry
        self._stage = stage
        self._cap = cap
        self._left = retry.budget
        self._service = _service_of(run, stage)

    def start_bundle(self) -> None:
        """Gives the bundle a budget of its own."""
        self._left = self._retry.budget

    def around(self, called: UserCallable) -> UserCallable:
        """Returns a user's callable that is tried again."""
        if called.kind not in (MAP, MAP_TUPLE, FILTER):
            return called._replace(function=self._tried(_whole(called.function, self._cap)))
        function = self._tried(called.function)
        taker = getattr(called.function, "with_origin", None)
        if taker is not None:
            function.with_origin = self._tried(taker)  # type: ignore[attr-defined]
        return called._replace(function=function)

    def _tried(self, function: Callable[..., Any]) -> Callable[..., Any]:
        transient, service, again = self._retry.on, self._service, self._again

        def tried(*args: Any, **kwargs: Any) -> Any:
            try:
                result = function(*args, **kwargs)
            except transient as error:
                first = error
            else:
                if service.is_doubted:
                    service.note_works()
                return result
            # Outside of the handler, or each error would be told as the cause of the next one.
            return again(lambda: function(*args, **kwargs), first)

        return tried

    def _again(self, call: Callable[[], _Result], error: Exception) -> _Result:
        """Returns what a call gives that has failed once; raises where it is given up."""
        began = time.monotonic()
        left = self._left
        retry, service = self._retry, self._service
        pauses = retry.pauses()
        tried = of_round = 1
        try:
            while True:
                over = self._left <= 0
                if (over or of_round >= retry.attempts) and self._is_to_blame(
                    error, tried, began, left, over
                ):
                    service.note_given_up()
                    _tell_attempts(error, tried, time.monotonic() - began)
                    raise error
                if of_round >= retry.attempts and retry.probe is not None:  # it was down, and is up again
                    pauses, of_round = retry.pauses(), 0
                time.sleep(min(next(pauses), max(self._left, 0)))
                tried, of_round = tried + 1, of_round + 1
                self._counts.retried += 1
                try:
                    result = call()
                except retry.on as again:
                    error = again
                else:
                    service.note_works()
                    return result
                finally:
                    self._left = left - (time.monotonic() - began)
        finally:
            self._left = left - (time.monotonic() - began)
            del error

    def _is_to_blame(self, error: Exception, tried: int, began: float, left: float, over: bool) -> bool:
        """Returns whether a record is to be refused, not waited for.

        Raises:
          ServiceDown: it is the service, and there is no more time to wait for it.
        """
        retry, service = self._retry, self._service
        if retry.probe is not None:
            return not self._was_down(retry.probe, error, tried, began, left)
        if not over:
            return service.worked and service.in_a_row + 1 < retry.down_after
        if service.in_a_row + 1 >= retry.down_after:
            self._fail(error, service.in_a_row + 1)
        return True

    def _was_down(
        self, probe: Callable[[], Any], error: Exception, tried: int, began: float, left: float
    ) -> bool:
        """Returns whether the service had to be waited for."""
        pauses, was_down = self._retry.pauses(), False
        while True:
            try:
                probe()
            except Exception:
                was_down = True
            else:
                return was_down
            self._left = left - (time.monotonic() - began)
            if self._left <= 0:
                self._fail(error, 1)
            time.sleep(min(next(pauses), self._left))

    def _fail(self, error: Exception, in_a_row: int) -> NoReturn:
        text = f"{type_name(error)}: {error}"
        raise ServiceDown(self._stage, text, in_a_row, self._retry.budget) from error


def _tell_attempts(error: Exception, tried: int, seconds: float) -> None:
    """Notes on an exception how often its element was tried."""
    with contextlib.suppress(Exception):  # a class of the user's may refuse attributes
        setattr(error, ATTEMPTS, tried)
    put_note(error, f"{NOTE}tried {counted(tried, 'time')} in {seconds:.1f} s")


def attempts_of(error: BaseException) -> int:
    """Returns how often the element was tried that an exception was raised for."""
    found = getattr(error, ATTEMPTS, 1)
    return found if type(found) is int else 1


def _whole(function: Callable[..., Any], cap: int) -> Callable[..., Any]:
    """Returns a function that makes its results before it returns them, up to `cap` of them."""

    def whole(*args: Any, **kwargs: Any) -> Any:
        results = function(*args, **kwargs)
        if results.__class__ in _WHOLE:
            return results
        iterator = iter(results)
        held = list(itertools.islice(iterator, cap + 1))
        return held if len(held) <= cap else itertools.chain(held, iterator)

    return whole
