"""The DoFn that stands in for the user's: the user's object does the work, Beam sees all it saw before.

Beam learns what a DoFn wants by looking at its methods' signatures, their annotations and attributes;
all of that is answered from the user's DoFn. Only `process` and its relatives are put in between.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms import core, userstate
from apache_beam.transforms.window import WindowFn
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.beam_private import (
    DoFnParam,
    RestrictionDoFnParam,
    StateDoFnParam,
    TimerDoFnParam,
    WatermarkEstimatorParam,
)
from beam_obs.metrics import live
from beam_obs.metrics.tally import Tally
from beam_obs.wrapper.counted_process import BatchSplitter, CountedProcess, counted_process, passing_on
from beam_obs.wrapper.guard import Guard, GuardSettings
from beam_obs.wrapper.keep_lineage import keeping_lineage
from beam_obs.wrapper.refusal import EVIDENCE_TAG, NO_ELEMENT
from beam_obs.wrapper.user_callable import user_callable
from beam_obs.wrapper.woven_step import WovenStep

_OF_EVERY_DOFN = frozenset(dir(beam.DoFn))
_MADE_ON_WORKERS = ("process", "splitter", "_guard", "_tally", "_timer_callbacks")


class ObservedDoFn(beam.DoFn):
    """Does what `dofn` does; refuses, counts and times its elements.

    Args:
      dofn: the user's DoFn.
      settings: how the stage treats its elements.
      has_arguments: whether Beam is given more arguments than the element, e.g. side inputs.
      window_fn: of the stage's input, to place what fails without an element.

    Attributes:
      splitter: runs the DoFn on lists, where its elements are lists whose examples may fail alone.
    """

    splitter: BatchSplitter | None = None

    def __init__(
        self,
        dofn: beam.DoFn,
        settings: GuardSettings,
        has_arguments: bool = False,
        window_fn: WindowFn | None = None,
    ) -> None:
        self._dofn = dofn
        self._settings = settings
        self._has_arguments = has_arguments
        self._window_fn = window_fn
        self._bind()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _MADE_ON_WORKERS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._bind()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_dofn":
            raise AttributeError(name)
        callbacks = self.__dict__.get("_timer_callbacks", ())
        if name.startswith("_inspect_") and name.removeprefix("_inspect_") in callbacks:
            return functools.partial(self._arguments, name.removeprefix("_inspect_"))
        found = getattr(self._dofn, name)
        if name in callbacks:
            return types.MethodType(_GuardedTimer(self._guard, found), self)
        return found

    def __dir__(self) -> Iterable[str]:
        # Beam looks through these for state and timers, several times; its own methods have none.
        return ["process", *(name for name in dir(self._dofn) if name not in _OF_EVERY_DOFN)]

    def __repr__(self) -> str:
        return f"ObservedDoFn({self._dofn!r})"

    def users_parts(self) -> tuple[Any, ...]:
        """Returns what it holds of the user's."""
        return self._dofn, self._settings.redaction

    # What Beam calls on workers.

    def setup(self) -> None:
        """Sets the user's DoFn up; its errors fail the bundle, with the stage's name."""
        live.register(self._settings.context.run, self._settings.stage, self._tally)
        self._dofn.setup()

    def start_bundle(self) -> Any:
        """Starts the user's bundle; its errors fail the bundle, with the stage's name."""
        return self._dofn.start_bundle()

    def finish_bundle(self) -> Any:
        """Gives what the user's DoFn gives when a bundle ends, or a dead letter without an element."""
        guard = self._guard
        try:
            results = self._dofn.finish_bundle()
            if results is not None:
                results = list(results)
                guard.out += sum(getattr(result, "tag", None) != EVIDENCE_TAG for result in results)
        except Exception as error:
            results = self._refused_at_the_end(error)
        try:
            self._tally.flush()
        except Exception:
            guard.internal_errors += 1
        return results

    def teardown(self) -> None:
        """Tears the user's DoFn down."""
        live.retire(self._settings.context.run, self._settings.stage, self._tally)
        self._dofn.teardown()

    def process_batch(self, batch: Any, *args: Any, **kwargs: Any) -> Any:
        """Processes a batch; one that fails is tried again element by element."""
        guard = self._guard
        try:
            results = self._batch_results(batch, args, kwargs)
            guard.taken += self._dofn.input_batch_converter.get_length(batch)
        except Exception as error:
            return self._one_by_one(batch, args, kwargs, error)
        guard.out += len(results)
        return results

    def woven(self, step: WovenStep) -> Callable[..., Any] | None:
        """Returns one process function that observes and gives each output its provenance, for most DoFns.

        None where a wrapper around this one has to see to the provenances.

        Args:
          step: how the step is woven.
        """
        names, defaults = self._arguments("process")
        if self._is_special(defaults) or self._settings.keeps_lineage or _element_at(names, defaults):
            return None
        has_arguments = self._has_arguments or any(map(_is_parameter, defaults))
        return self._count(counted_process(user_callable(self._dofn), self._guard, has_arguments, 0, step))

    # What Beam asks when a pipeline is built, answered from the user's DoFn.

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

    def _inspect_process(self) -> Any:
        return self._arguments("process")

    def _inspect_process_batch(self) -> Any:
        return self._arguments("process_batch")

    def _inspect_setup(self) -> Any:
        return self._arguments("setup")

    def _inspect_start_bundle(self) -> Any:
        return self._arguments("start_bundle")

    def _inspect_finish_bundle(self) -> Any:
        return self._arguments("finish_bundle")

    def _inspect_teardown(self) -> Any:
        return self._arguments("teardown")

    def _arguments(self, method: str) -> tuple[list[str], list[Any]]:
        """The user's arguments; a DoFn that is its own provider of restrictions is named as such."""
        names, defaults = core.get_function_arguments(self._dofn, method)
        return names, [_with_provider(default, self._dofn) for default in defaults]

    def _bind(self) -> None:
        dofn, settings = self._dofn, self._settings
        self._guard = Guard(settings)
        names, defaults = self._arguments("process")
        self._timer_callbacks = _timer_callbacks(dofn)
        called = user_callable(dofn)
        if _is_splittable(defaults):
            counted = passing_on(called, self._guard)
        elif settings.splits_batches:
            self.splitter = BatchSplitter(called, self._guard)
            counted = self.splitter.counted_process()
        else:
            explodes = getattr(dofn.process, "_beam_yields_batches", False)
            if explodes:
                called = called._replace(function=_exploding(dofn, called.function))
            has_arguments = self._has_arguments or any(map(_is_parameter, defaults))
            counted = counted_process(called, self._guard, has_arguments, _element_at(names, defaults))
            if settings.keeps_lineage:
                counted = CountedProcess(keeping_lineage(counted.process), counted.read)
        process = self._count(counted)
        if hasattr(dofn.process, "unbounded_per_element"):
            process.unbounded_per_element = True  # type: ignore[attr-defined]
        if _is_stateful(defaults):
            # Beam looks for state and timers in methods only.
            self.process = types.MethodType(lambda _, *args, **kwargs: process(*args, **kwargs), self)
        else:
            self.process = process  # type: ignore[assignment]

    def _is_special(self, defaults: list[Any]) -> bool:
        """Whether elements are not taken one by one, each with its outputs."""
        return (
            _is_splittable(defaults)
            or _is_stateful(defaults)
            or self._settings.splits_batches
            or self._process_batch_defined
            or getattr(self._dofn.process, "_beam_yields_batches", False)
        )

    def _count(self, counted: CountedProcess) -> Callable[..., Any]:
        self._tally = Tally(counted.read)
        self._guard.observe_latency = self._tally.observe_latency
        return counted.process

    def _refused_at_the_end(self, error: Exception) -> list[Any]:
        """A dead letter in a window of its own, since no element gives it one."""
        timestamp = Timestamp.now()
        window_fn = self._window_fn or beam.window.GlobalWindows()
        letters = self._guard.refuse(NO_ELEMENT, error)
        try:
            windows = tuple(window_fn.assign(WindowFn.AssignContext(timestamp)))
        except Exception:  # the windows depend on elements
            raise error from None
        return [TaggedOutput(one.tag, WindowedValue(one.value, timestamp, windows)) for one in letters]

    def _batch_results(self, batch: Any, args: Any, kwargs: Any) -> list[Any]:
        results = self._dofn.process_batch(batch, *args, **kwargs)
        if results is None:
            return []
        if getattr(self._dofn.process_batch, "_beam_yields_elements", False):
            return list(results)
        return list(_exploded(self._dofn.output_batch_converter, results))

    def _one_by_one(self, batch: Any, args: Any, kwargs: Any, error: Exception) -> list[Any]:
        guard, converter = self._guard, self._dofn.input_batch_converter
        if not self._settings.keeps_dead_letters or isinstance(error, MemoryError):
            guard.fail(error)
        results: list[Any] = []
        for element in converter.explode_batch(batch):
            guard.taken += 1
            try:
                of_element = self._batch_results(converter.produce_batch([element]), args, kwargs)
                guard.out += len(of_element)
            except Exception as its_error:
                of_element = guard.refuse(element, its_error)
            results += of_element
        return results


# Beam rebatches what `process_batch` gives as elements. Batches could not carry a refused element.
ObservedDoFn.process_batch._beam_yields_elements = True  # type: ignore[attr-defined]


class _GuardedTimer:
    """A timer's callback under guard. Beam knows a callback by comparing it: this one equals the user's."""

    def __init__(self, guard: Guard, callback: types.MethodType) -> None:
        self._guard = guard
        self._callback = callback

    def __eq__(self, other: object) -> bool:
        return other is self._callback.__func__ or other is self

    def __hash__(self) -> int:
        return hash(self._callback.__func__)

    def __call__(self, _: Any, *args: Any, **kwargs: Any) -> Any:
        guard = self._guard
        try:
            results = self._callback(*args, **kwargs)
            results = [] if results is None else list(results)
        except Exception as error:
            return guard.refuse(NO_ELEMENT, error)
        guard.out += len(results)
        return results


def _timer_callbacks(dofn: beam.DoFn) -> frozenset[str]:
    if isinstance(dofn, core.CallableWrapperDoFn):
        return frozenset()
    _, timers = userstate.get_dofn_specs(dofn)
    return frozenset(timer._attached_callback.__name__ for timer in timers if timer._attached_callback)


def _with_provider(default: Any, dofn: beam.DoFn) -> Any:
    if isinstance(default, RestrictionDoFnParam) and default.restriction_provider is None:
        return core.DoFn.RestrictionParam(dofn)
    if isinstance(default, WatermarkEstimatorParam) and default.watermark_estimator_provider is None:
        return core.DoFn.WatermarkEstimatorParam(dofn)
    return default


def _is_splittable(defaults: list[Any]) -> bool:
    kinds = (RestrictionDoFnParam, WatermarkEstimatorParam)
    return any(isinstance(default, kinds) for default in defaults)


def _is_stateful(defaults: list[Any]) -> bool:
    kinds = (StateDoFnParam, TimerDoFnParam)
    return any(isinstance(default, kinds) for default in defaults)


def _is_parameter(default: Any) -> bool:
    """Whether Beam fills an argument in; `DoFn.BundleFinalizerParam` is given as a class."""
    kind = default if isinstance(default, type) else type(default)
    return issubclass(kind, DoFnParam)


def _element_at(names: list[str], defaults: list[Any]) -> int:
    for position, default in enumerate(defaults):
        if isinstance(default, DoFnParam) and default == core.DoFn.ElementParam:
            return len(names) - len(defaults) + position
    return 0


def _exploding(dofn: beam.DoFn, function: Callable[..., Any]) -> Callable[..., Any]:
    def process(*args: Any, **kwargs: Any) -> Any:
        results = function(*args, **kwargs)
        return None if results is None else _exploded(dofn.output_batch_converter, results)

    return process


def _exploded(converter: Any, batches: Iterable[Any]) -> Iterable[Any]:
    for batch in batches:
        yield from converter.explode_batch(batch)
