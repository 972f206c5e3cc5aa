"""The process functions of stages: what they do with results, and how their counts are read.

Each counts in plain ints of its closure and times one element in N; `process_text` has their text.

Beam iterates over the result after `process` has returned, so a failure further down the pipeline is
never taken for one of this stage, and a result that is not iterable has to be found here.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from types import GeneratorType
from typing import Any, NamedTuple

from beam_obs.metrics.tally import Counts
from beam_obs.wrapper.guard import Guard
from beam_obs.wrapper.process_text import GENERATOR, Way, maker
from beam_obs.wrapper.user_callable import DO_FN, UserCallable, gives_generator
from beam_obs.wrapper.woven_step import State, WovenStep, origin_taker, refuse_text

Process = Callable[..., Any]


class CountedProcess(NamedTuple):
    """A process function and how to read what it counted.

    Args:
      process: what Beam calls for each element.
      read: the counts since it was made.
    """

    process: Process
    read: Callable[[], Counts]


def counted_process(
    called: UserCallable,
    guard: Guard,
    takes_arguments: bool,
    step: WovenStep | None = None,
    state: State | None = None,
    is_splittable: bool = False,
) -> CountedProcess:
    """Returns the process function for a user's callable.

    Args:
      called: the callable and its kind, with the element first.
      guard: refuses and times.
      takes_arguments: whether it takes more than the element.
      step: what a woven step gives its outputs; None where elements are plain.
      state: for a callable with state, in a woven step.
      is_splittable: whether it works on a part of its element, which is counted, never refused half way.
    """
    settings = guard.settings
    # Generators are held back in whole, unless what they yielded is to stay.
    is_held = not settings.partial
    is_generator = is_held and not is_splittable and gives_generator(called)
    way = Way(
        kind=GENERATOR if is_generator else called.kind,
        is_stage=True,
        takes_arguments=takes_arguments,
        has_state=state is not None,
        is_splittable=is_splittable,
    )
    of_call = {"function": called.function}
    if step is not None:
        _, tells_origin = origin_taker(called)
        way, of_call = step.woven(way, tells_origin), step.names_of_call(called)
        if step.tally is not None:
            step.tally.notes(not is_splittable, state is None, is_splittable)
    process, read = maker(way)(
        {
            **of_call,
            "guard": guard,
            "refuse": guard.refuse,
            "timed": guard.timed,
            "go_on": guard.go_on,
            "rate": settings.settings.sample_rate,
            "cap": settings.settings.output_cap,
            "lazy_kind": GeneratorType if is_held else None,
            "lazily": GeneratorType,
            "settle": _settler(called, guard),
            "islice": islice,
            **({} if step is None else step.names),
            **({} if state is None else state.names),
        }
    )
    assert read is not None
    return CountedProcess(process, _reader(guard, read))


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
            retried=guard.retried,
        )

    return counts


def _settler(called: UserCallable, guard: Guard) -> Callable[[Any, Any], Any]:
    """Returns what makes a sized sequence, or a generator to pass on, of a result that is no list."""
    cap = guard.settings.settings.output_cap
    refuses_text = called.kind == DO_FN

    def settle(element: Any, results: Any) -> Any:
        if results is None:
            return ()
        if results.__class__ is tuple:
            return results
        if refuses_text:
            refuse_text(results)
        iterator = iter(results)
        if guard.settings.partial:
            return guard.go_on(element, [], iterator)
        held = list(islice(iterator, cap + 1))
        return guard.go_on(element, held, iterator) if len(held) > cap else held

    return settle


class BatchSplitter:
    """Runs a function of lists; a list that fails is tried again example by example.

    Args:
      called: the function, of a DoFn whose elements are lists.
      guard: refuses and counts.
    """

    def __init__(self, called: UserCallable, guard: Guard) -> None:
        self._function = called.function
        self._guard = guard

    def counted_process(self) -> CountedProcess:
        """Returns the process function of a step that is not woven."""
        return CountedProcess(self._process, _reader(self._guard, lambda: (0, 0, 0)))

    def _process(self, batch: Any, *args: Any, **kwargs: Any) -> list[Any]:
        results = self.whole(batch, *args, **kwargs)
        if results is None:
            results = [result for example in batch for result in self.alone(example, *args, **kwargs)]
        return results

    def whole(self, batch: Any, *args: Any, **kwargs: Any) -> list[Any] | None:
        """Returns what the function gives of a batch; None where its examples are to be tried one by one."""
        guard = self._guard
        guard.taken += 1
        self._has_refused = False
        try:
            results = list(self._function(batch, *args, **kwargs) or ())
        except Exception as error:
            if not guard.may_refuse(error):
                guard.fail(error)
            return None
        guard.out += len(results)
        return results

    def alone(self, example: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """Returns what the function gives of one example, which may be its dead letter."""
        guard = self._guard
        try:
            results = list(self._function([example], *args, **kwargs) or ())
        except Exception as error:
            refused = guard.refuse_part(example, error)
            if not self._has_refused:  # the first stands for the batch, of which nothing else may come
                self._has_refused = True
                guard.leftovers -= 1
                guard.dead += 1
            return refused
        guard.out += len(results)
        return results
