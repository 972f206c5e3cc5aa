"""The DoFn that stands in for the user's: the user's object does the work, Beam sees all it saw before.

Beam learns what a DoFn wants by looking at its methods' signatures, their annotations and attributes;
all of that is answered here, from the user's DoFn. What Beam asks in another way one day is to be
answered here too, and nowhere else: the rest of the wrapper makes process functions.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.transforms import core

from beam_obs.logs.log_setup import say_left_out, set_up_logs, take_lost_lines
from beam_obs.metrics.live_instruments import bundle_began, bundle_ended
from beam_obs.metrics.names import NAMESPACE, TELEMETRY_LOST
from beam_obs.metrics.workers import Worker, worker_of
from beam_obs.records.run_context import RunContext
from beam_obs.wrapper.calls import Calls
from beam_obs.wrapper.dofn_parameters import (
    element_at,
    is_filled_in,
    specs_of,
    taking_it_at,
    taking_it_first,
    with_provider,
)
from beam_obs.wrapper.record_at_work import record_at_work
from beam_obs.wrapper.user_callable import user_callable
from beam_obs.wrapper.woven_step import Process

_OF_EVERY_DOFN = frozenset(dir(beam.DoFn))
_ASKED_OF_EACH_COPY = frozenset({"_runtime_output_constraints"})
"""What Beam looks for in each copy that it unpickles, and only the user's DoFn may have."""


class PutTogether:
    """An attribute that a DoFn has of its own once it is put together, which a look at it sees to."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, dofn: StandInDoFn | None, kind: type) -> Any:
        if dofn is not None and dofn.put_together():
            return getattr(dofn, self._name)
        of_beam = getattr(beam.DoFn, self._name, None)
        return of_beam if dofn is None or of_beam is None else types.MethodType(of_beam, dofn)


class StandInDoFn(beam.DoFn):
    """Does what a user's DoFn does, by a process function of its own.

    Subclasses set what they are made of before they call `__init__`; that is what is pickled. The rest is
    put together when something of it is first asked for: a worker unpickles each DoFn five times to call one.

    Args:
      calls: how the user's DoFn is called.
    """

    process = PutTogether()
    process_batch = PutTogether()
    _worker: Worker | None = None
    _is_in_bundle = False

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def __getstate__(self) -> dict[str, Any]:
        left_out = {*self.__dict__.get("_bound", ()), "_worker", "_is_in_bundle"}
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_calls" not in self.__dict__:
            raise AttributeError(name)
        if name not in _ASKED_OF_EACH_COPY and self.put_together():
            return getattr(self, name)
        if name == "_timers":
            raise AttributeError(name)
        timers = self.__dict__.get("_timers", {})
        if name in timers:
            return types.MethodType(timers[name], self)
        if name.startswith("_inspect_") and name.removeprefix("_inspect_") in timers:
            return functools.partial(self.shown_arguments, name.removeprefix("_inspect_"))
        return getattr(self._dofn, name)

    def __dir__(self) -> Iterable[str]:
        # Beam looks through these for state and timers, several times; its own methods have none.
        return ["process", *(name for name in dir(self._dofn) if name not in _OF_EVERY_DOFN)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._dofn!r})"

    # What a subclass says.

    @property
    def _dofn(self) -> beam.DoFn:
        return self._calls.dofn

    @property
    def run_context(self) -> RunContext | None:
        """The run that it is in, where that is known."""
        return self._calls.run_context

    @property
    def step_label(self) -> str:
        """Full label of its step, where its run is known."""
        return self._calls.step_label

    def make_process(self) -> Process:
        """Returns the process function, which takes the element first; called on each worker."""
        raise NotImplementedError

    def make_process_batch(self) -> Process:
        """Returns what takes a batch, of a DoFn that takes batches."""
        return self._calls.process_batch

    def make_timer(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Returns what is called in place of the callback of a timer."""
        return self._calls.timer(callback)

    def shown_arguments(self, method: str) -> tuple[list[str], list[Any]]:
        """Returns names and default values of the arguments that Beam is to give a method."""
        return self.users_arguments(method)

    def users_arguments(self, method: str) -> tuple[list[str], list[Any]]:
        """Returns the user's arguments; a DoFn that is its own provider of restrictions is named as such."""
        names, defaults = core.get_function_arguments(self._dofn, method)
        return names, [with_provider(default, self._dofn) for default in defaults]

    @property
    def is_stateful(self) -> bool:
        """Whether the user's DoFn has state or timers."""
        return bool(self._states or self._timer_specs)

    def timer_callbacks(self) -> list[Callable[..., Any]]:
        """Returns the user's functions that timers call."""
        return [spec._attached_callback for spec in self._timer_specs if spec._attached_callback]

    def takes_arguments(self, given: bool) -> bool:
        """Returns whether `process` takes more than the element: what Beam was given, or fills in."""
        return given or any(map(is_filled_in, self._defaults))

    # What Beam calls on workers.

    def setup(self) -> Any:
        self.put_together()
        self._worker = worker_of(self.run_context)
        if self._worker is not None:
            self._worker.join()
        context = self.run_context
        if context is not None and context.logs is not None:
            set_up_logs(context.run, context.pipeline, context.logs, record_at_work)
        return self._calls.setup()

    def start_bundle(self) -> Any:
        self._is_in_bundle = True
        context = self.run_context
        if context is not None:
            bundle_began(context.run, self.step_label)
        return self._calls.start_bundle()

    def finish_bundle(self) -> Any:
        results = self._calls.finish_bundle()
        context = self.run_context
        if context is not None:
            bundle_ended(context.run)
            if context.logs is not None and (lost := take_lost_lines(context.run)):
                Metrics.counter(NAMESPACE, TELEMETRY_LOST).inc(lost)
        self._is_in_bundle = False
        return results

    def teardown(self) -> Any:
        worker, self._worker = self._worker, None
        if worker is not None:
            if self._is_in_bundle:  # so Beam lets go of a bundle that failed
                worker.note_failed()
            worker.leave()
        context = self.run_context
        if context is not None and context.logs is not None:
            say_left_out(context.run)
        return self._calls.teardown()

    # What Beam asks when a pipeline is built, and where it runs.

    def get_type_hints(self) -> Any:
        return self._dofn.get_type_hints()

    def default_type_hints(self) -> Any:
        return self._dofn.default_type_hints()

    def infer_output_type(self, input_type: Any) -> Any:
        return self._dofn.infer_output_type(input_type)

    def get_input_batch_type(self, input_element_type: Any) -> Any:
        return self._dofn.get_input_batch_type(input_element_type)

    def display_data(self) -> dict[str, Any]:
        return dict(self._dofn.display_data())

    def default_label(self) -> str:
        return str(self._dofn.default_label())

    def _process_argspec_fn(self) -> Any:
        return self._dofn._process_argspec_fn()

    @property
    def _process_defined(self) -> bool:
        return bool(self._dofn._process_defined)

    @property
    def _process_batch_defined(self) -> bool:
        return bool(self._dofn._process_batch_defined)

    @property
    def _process_yields_batches(self) -> bool:
        return self._calls.yields_batches

    @property
    def _process_batch_yields_elements(self) -> bool:
        return self._calls.batch_yields_elements

    def _inspect_process(self) -> Any:
        return self.shown_arguments("process")

    def _inspect_process_batch(self) -> Any:
        return self.shown_arguments("process_batch")

    def _inspect_setup(self) -> Any:
        return self.shown_arguments("setup")

    def _inspect_start_bundle(self) -> Any:
        return self.shown_arguments("start_bundle")

    def _inspect_finish_bundle(self) -> Any:
        return self.shown_arguments("finish_bundle")

    def _inspect_teardown(self) -> Any:
        return self.shown_arguments("teardown")

    # How it is put together.

    def put_together(self) -> bool:
        """Puts together what is not pickled; returns whether it was still to be done."""
        if "_bound" in self.__dict__:
            return False
        made_of = set(self.__dict__)
        self._bound: set[str] = set()
        try:
            self._bind()
        except BaseException:
            del self._bound
            raise
        self._bound = {*self.__dict__} - made_of
        return True

    def _bind(self) -> None:
        dofn = self._dofn
        self._states, self._timer_specs = specs_of(dofn)
        self._names, self._defaults = self.users_arguments("process")
        at = self._element_at = element_at(self._names, self._defaults)
        called = user_callable(dofn)
        self._called = called._replace(function=taking_it_first(called.function, at)) if at else called
        process = self.make_process()
        if at:
            process = taking_it_at(process, at)
        if hasattr(dofn.process, "unbounded_per_element"):
            process.unbounded_per_element = True  # type: ignore[attr-defined]
        if self._process_yields_batches:
            process._beam_yields_batches = True  # type: ignore[attr-defined]
        if self.is_stateful:
            # Beam looks for state and timers in methods only.
            self.process = types.MethodType(lambda _, *args, **kwargs: process(*args, **kwargs), self)
        else:
            self.process = process
        if dofn._process_batch_defined:
            self.process_batch = self.make_process_batch()
        self._timers = {
            callback.__name__: _Timer(callback, self.make_timer(getattr(dofn, callback.__name__)))
            for callback in self.timer_callbacks()
        }


class _Timer:
    """A timer's callback. Beam knows a callback by comparing it: this one equals the user's.

    Args:
      callback: the user's function.
      call: what is called in its place, without the DoFn.
    """

    def __init__(self, callback: Callable[..., Any], call: Callable[..., Any]) -> None:
        self._callback = callback
        self._call = call

    def __eq__(self, other: object) -> bool:
        return other is self or other == self._callback

    def __hash__(self) -> int:
        return hash(self._callback)

    def __call__(self, _: Any, **kwargs: Any) -> Any:
        return self._call(**kwargs)


def innermost(dofn: Any) -> Any:
    """Returns the user's DoFn inside of those that stand in for it."""
    while isinstance(dofn, StandInDoFn):
        dofn = dofn._dofn
    return dofn
