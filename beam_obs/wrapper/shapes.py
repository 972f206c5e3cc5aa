"""The process functions: one for each way in which a user's function is called. The hot path.

Each counts in plain ints of its closure and times one element in N. A branch for each element costs
more than a function of its own for each shape, so the shapes repeat the same few lines on purpose;
`benchmarks/stage.py` gives what they cost.

Beam iterates over the result after `process` has returned, so a failure further down the pipeline is
never taken for one of this stage, and a result that is not iterable has to be found here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from types import GeneratorType
from typing import Any, NamedTuple

from beam_obs.metrics.tally import Counts
from beam_obs.wrapper.guard import Guard
from beam_obs.wrapper.user_callable import DO_FN, FILTER, MAP, MAP_TUPLE, UserCallable

Process = Callable[..., Any]


class Shape(NamedTuple):
    """A process function and how to read what it counted.

    Args:
      process: what Beam calls for each element.
      read: the counts since it was made.
    """

    process: Process
    read: Callable[[], Counts]


def shape_of(called: UserCallable, guard: Guard, takes_arguments: bool, element_at: int) -> Shape:
    """Returns the process function for a user's callable.

    Args:
      called: the callable and its kind.
      guard: refuses and times.
      takes_arguments: whether it takes more than the element.
      element_at: position of the element among its arguments.
    """
    rate = guard.settings.settings.sample_rate
    if element_at:
        return _with_element_at(called, guard, element_at)
    if called.kind == MAP:
        make = _map_with_arguments if takes_arguments else _map
    elif called.kind == MAP_TUPLE:
        make = _map_tuple_with_arguments if takes_arguments else _map_tuple
    elif called.kind == FILTER:
        make = _filter_with_arguments if takes_arguments else _filter
    else:
        return (_many_with_arguments if takes_arguments else _many)(called, guard, rate)
    return make(called.function, guard, rate)


def _reader(guard: Guard, read: Callable[[], tuple[int, int, int]]) -> Callable[[], Counts]:
    def counts() -> Counts:
        taken, out, filtered = read()
        return Counts(
            taken + guard.taken,
            out + guard.out,
            guard.dead + guard.leftovers,
            guard.leftovers,
            filtered + guard.filtered,
            guard.internal_errors,
        )

    return counts


def _map(function: Process, guard: Guard, rate: int) -> Shape:
    taken, due, refuse, timed = 0, min(rate, 1), guard.refuse, guard.timed

    def process(element: Any) -> Any:
        nonlocal taken, due
        taken += 1
        if taken == due:
            taken, due = taken - 1, due + rate
            return timed(process, element)
        try:
            return [function(element)]
        except Exception as error:
            return refuse(element, error)

    return Shape(process, _reader(guard, lambda: (taken, taken - guard.dead, 0)))


def _map_with_arguments(function: Process, guard: Guard, rate: int) -> Shape:
    taken, due, refuse, timed = 0, min(rate, 1), guard.refuse, guard.timed

    def process(element: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal taken, due
        taken += 1
        if taken == due:
            taken, due = taken - 1, due + rate
            return timed(process, element, *args, **kwargs)
        try:
            return [function(element, *args, **kwargs)]
        except Exception as error:
            return refuse(element, error)

    return Shape(process, _reader(guard, lambda: (taken, taken - guard.dead, 0)))


def _map_tuple(function: Process, guard: Guard, rate: int) -> Shape:
    taken, due, refuse, timed = 0, min(rate, 1), guard.refuse, guard.timed

    def process(element: Any) -> Any:
        nonlocal taken, due
        taken += 1
        if taken == due:
            taken, due = taken - 1, due + rate
            return timed(process, element)
        try:
            return [function(*element)]
        except Exception as error:
            return refuse(element, error)

    return Shape(process, _reader(guard, lambda: (taken, taken - guard.dead, 0)))


def _map_tuple_with_arguments(function: Process, guard: Guard, rate: int) -> Shape:
    def spread(element: Any, *args: Any, **kwargs: Any) -> Any:
        return function(*element, *args, **kwargs)

    return _map_with_arguments(spread, guard, rate)


def _filter(function: Process, guard: Guard, rate: int) -> Shape:
    taken, due, kept, refuse, timed = 0, min(rate, 1), 0, guard.refuse, guard.timed

    def process(element: Any) -> Any:
        nonlocal taken, due, kept
        taken += 1
        if taken == due:
            taken, due = taken - 1, due + rate
            return timed(process, element)
        try:
            if function(element):
                kept += 1
                return [element]
            return ()
        except Exception as error:
            return refuse(element, error)

    return Shape(process, _reader(guard, lambda: (taken, kept, taken - kept - guard.dead)))


def _filter_with_arguments(function: Process, guard: Guard, rate: int) -> Shape:
    taken, due, kept, refuse, timed = 0, min(rate, 1), 0, guard.refuse, guard.timed

    def process(element: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal taken, due, kept
        taken += 1
        if taken == due:
            taken, due = taken - 1, due + rate
            return timed(process, element, *args, **kwargs)
        try:
            if function(element, *args, **kwargs):
                kept += 1
                return [element]
            return ()
        except Exception as error:
            return refuse(element, error)

    return Shape(process, _reader(guard, lambda: (taken, kept, taken - kept - guard.dead)))


def _many(called: UserCallable, guard: Guard, rate: int) -> Shape:
    taken, due, out, filtered = 0, min(rate, 1), 0, 0
    function, refuse, timed, settle = called.function, guard.refuse, guard.timed, _settler(called, guard)
    cap, lazy_kind, go_on = guard.settings.settings.output_cap, _lazy_kind(guard), guard.go_on

    def process(element: Any) -> Any:
        nonlocal taken, due, out, filtered
        taken += 1
        if taken == due:
            taken, due = taken - 1, due + rate
            return timed(process, element)
        try:
            results = function(element)
            kind = results.__class__
            if kind is not list:
                if kind is lazy_kind:
                    # Most generators yield once: two loops that break cost less than an islice.
                    for first in results:  # noqa: B007
                        break
                    else:
                        filtered += 1
                        return ()
                    for second in results:  # noqa: B007
                        break
                    else:
                        out += 1
                        return [first]
                    iterator, results = results, [first, second, *islice(results, cap)]
                    if len(results) > cap:
                        return go_on(element, results, iterator)
                else:
                    results = settle(element, results)
                    if results.__class__ is GeneratorType:
                        return results
        except Exception as error:
            return refuse(element, error)
        if results:
            out += len(results)
        else:
            filtered += 1
        return results

    return Shape(process, _reader(guard, lambda: (taken, out, filtered)))


def _many_with_arguments(called: UserCallable, guard: Guard, rate: int) -> Shape:
    taken, due, out, filtered = 0, min(rate, 1), 0, 0
    function, refuse, timed, settle = called.function, guard.refuse, guard.timed, _settler(called, guard)
    cap, lazy_kind, go_on = guard.settings.settings.output_cap, _lazy_kind(guard), guard.go_on

    def process(element: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal taken, due, out, filtered
        taken += 1
        if taken == due:
            taken, due = taken - 1, due + rate
            return timed(process, element, *args, **kwargs)
        try:
            results = function(element, *args, **kwargs)
            kind = results.__class__
            if kind is not list:
                if kind is lazy_kind:
                    # Most generators yield once: two loops that break cost less than an islice.
                    for first in results:  # noqa: B007
                        break
                    else:
                        filtered += 1
                        return ()
                    for second in results:  # noqa: B007
                        break
                    else:
                        out += 1
                        return [first]
                    iterator, results = results, [first, second, *islice(results, cap)]
                    if len(results) > cap:
                        return go_on(element, results, iterator)
                else:
                    results = settle(element, results)
                    if results.__class__ is GeneratorType:
                        return results
        except Exception as error:
            return refuse(element, error)
        if results:
            out += len(results)
        else:
            filtered += 1
        return results

    return Shape(process, _reader(guard, lambda: (taken, out, filtered)))


def _with_element_at(called: UserCallable, guard: Guard, element_at: int) -> Shape:
    """For a function that names its element by ``DoFn.ElementParam``, not first."""

    def rotated(element: Any, *args: Any, **kwargs: Any) -> Any:
        return called.function(*args[:element_at], element, *args[element_at:], **kwargs)

    inner = shape_of(called._replace(function=rotated), guard, takes_arguments=True, element_at=0)

    def process(*args: Any, **kwargs: Any) -> Any:
        return inner.process(args[element_at], *args[:element_at], *args[element_at + 1 :], **kwargs)

    return Shape(process, inner.read)


def _lazy_kind(guard: Guard) -> type | None:
    """The kind of result that is held back in whole: generators, unless what they yielded is to stay."""
    return None if guard.settings.partial else GeneratorType


def _settler(called: UserCallable, guard: Guard) -> Callable[[Any, Any], Any]:
    """Returns what makes a sized sequence, or a generator to pass on, of a result that is no list."""
    cap = guard.settings.settings.output_cap
    refuses_text = called.kind == DO_FN

    def settle(element: Any, results: Any) -> Any:
        if results is None:
            return ()
        if results.__class__ is tuple:
            return results
        if refuses_text and isinstance(results, (str, bytes, dict)):
            raise TypeError(
                f"Returning a {type(results).__name__} from a ParDo or FlatMap is not allowed. "
                f"Please use list({results!r}) if you really want this behavior."
            )
        iterator = iter(results)
        if guard.settings.partial:
            return guard.go_on(element, [], iterator)
        held = list(islice(iterator, cap + 1))
        return guard.go_on(element, held, iterator) if len(held) > cap else held

    return settle


def passing_on(called: UserCallable, guard: Guard) -> Shape:
    """Returns the process function of a splittable DoFn: counted, never dead-lettered half way."""
    function = called.function

    def process(*args: Any, **kwargs: Any) -> Iterable[Any]:
        guard.taken += 1
        results = function(*args, **kwargs)
        return () if results is None else counted(results)

    def counted(results: Iterable[Any]) -> Iterable[Any]:
        some = False
        for result in results:
            some = True
            guard.out += 1
            yield result
        if not some:
            guard.filtered += 1

    return Shape(process, _reader(guard, lambda: (0, 0, 0)))


def splitting_batches(called: UserCallable, guard: Guard) -> Shape:
    """Returns the process function of a DoFn whose elements are lists: one that fails is tried one by one."""
    function = called.function

    def process(batch: Any, *args: Any, **kwargs: Any) -> list[Any]:
        guard.taken += 1
        try:
            results = list(function(batch, *args, **kwargs) or ())
            guard.out += len(results)
            return results
        except Exception as error:
            if not guard.settings.keeps_dead_letters or isinstance(error, MemoryError):
                raise
        held: list[Any] = []
        for element in batch:
            try:
                of_element = list(function([element], *args, **kwargs) or ())
                guard.out += len(of_element)
            except Exception as error:
                of_element = guard.refuse_part(element, error)
            held += of_element
        return held

    return Shape(process, _reader(guard, lambda: (0, 0, 0)))
