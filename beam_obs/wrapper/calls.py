"""How a DoFn that stands in for the user's calls it: as it is, or as a stage does.

A stage counts, times and refuses; `GuardedCalls` is all of it that is not in the process functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms import core
from apache_beam.transforms.window import WindowFn
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.metrics import live
from beam_obs.metrics.tally import Counts, Tally
from beam_obs.records.run_context import RunContext
from beam_obs.traces import attributes as names
from beam_obs.traces.traced_step import TracedStep
from beam_obs.wrapper.counted_process import BatchSplitter, CountedProcess, counted_process
from beam_obs.wrapper.dofn_parameters import is_splittable
from beam_obs.wrapper.guard import Guard, GuardSettings
from beam_obs.wrapper.isolation import IsolatedDoFn
from beam_obs.wrapper.keep_lineage import keeping_lineage
from beam_obs.wrapper.refusal import EVIDENCE_TAG, NO_ELEMENT
from beam_obs.wrapper.retrying import Retries
from beam_obs.wrapper.user_callable import DO_FN, UserCallable
from beam_obs.wrapper.woven_step import Process, State, WovenStep, one_to_one

if TYPE_CHECKING:
    from beam_obs.traces.step_tracer import StepTracer


class Calls:
    """Calls a user's DoFn as it is.

    Args:
      dofn: the user's.

    Attributes:
      yields_batches: whether `process` gives batches.
      batch_yields_elements: whether `process_batch` gives elements.
      output_batch_converter: of the batches that it gives; None where it gives none.
      process_batch: takes a batch.
    """

    def __init__(self, dofn: beam.DoFn) -> None:
        self.dofn = dofn
        self.yields_batches = bool(dofn._process_yields_batches)
        self.batch_yields_elements = bool(dofn._process_batch_yields_elements)
        self.output_batch_converter = getattr(dofn, "output_batch_converter", None)
        self.process_batch: Callable[..., Any] = dofn.process_batch

    @property
    def run_context(self) -> RunContext | None:
        """The run that the DoFn is known to be in."""
        return None

    @property
    def step_label(self) -> str:
        """Full label of its step, where that run is known."""
        return ""

    def __reduce__(self) -> Any:
        return (type(self), (self.dofn,))

    def setup(self) -> Any:
        return self.dofn.setup()

    def start_bundle(self) -> Any:
        return self.dofn.start_bundle()

    def finish_bundle(self) -> Any:
        return self.dofn.finish_bundle()

    def trace_by(self, tracer: StepTracer) -> None:
        """Says what makes the spans of the step; a stage tells it of what it refuses."""

    def teardown(self) -> Any:
        return self.dofn.teardown()

    def timer(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Returns what calls a timer's callback."""
        return callback

    def callable(self, called: UserCallable, takes_arguments: bool) -> UserCallable:
        """Returns what to call for each element, where provenances come from elsewhere than the element.

        Args:
          called: what the DoFn calls, with the element first.
          takes_arguments: whether there are more arguments than the element.
        """
        return called

    def of_lists(self, called: UserCallable) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
        """Returns what calls a function of lists, and one of single elements, where a list may be refused."""
        return called.function, None

    def woven(
        self, called: UserCallable, step: WovenStep, takes_arguments: bool, state: State | None = None
    ) -> Process:
        """Returns a process function whose outputs have the provenance of their element.

        Args:
          called: what the DoFn calls, with the element first.
          step: how the step is woven.
          takes_arguments: whether there are more arguments than the element.
          state: for a DoFn with state, whose outputs have the provenance of their key's history.
        """
        return one_to_one(called, step, takes_arguments, state)


class GuardedCalls(Calls):
    """Calls a user's DoFn in a stage.

    Args:
      dofn: the user's.
      settings: how the stage treats its elements.
      window_fn: of the stage's input, to place what fails without an element.

    Attributes:
      tally: counts of the process function that was made last.
    """

    tally: Tally

    def __init__(self, dofn: beam.DoFn, settings: GuardSettings, window_fn: WindowFn | None = None) -> None:
        super().__init__(dofn)
        self.settings = settings
        self._window_fn = window_fn
        self._guard = Guard(settings)
        self._retries = _retries(settings, self._guard)
        self._lifecycle: Any = dofn
        if settings.isolation is not None:
            self._lifecycle = IsolatedDoFn(dofn, settings.isolation, settings.stage)
        _, defaults = core.get_function_arguments(dofn, "process")
        self._is_splittable = is_splittable(defaults)
        self._explodes = self.yields_batches
        # Beam rebatches what is given as elements. Batches could not carry a refused element.
        self.yields_batches, self.batch_yields_elements = False, True
        self.output_batch_converter = None
        self.process_batch = self._process_batch

    def __reduce__(self) -> Any:
        return (type(self), (self.dofn, self.settings, self._window_fn))

    @property
    def run_context(self) -> RunContext | None:
        return self.settings.context

    @property
    def step_label(self) -> str:
        return self.settings.stage

    def setup(self) -> Any:
        """Sets the user's DoFn up; its errors fail the bundle, with the stage's name."""
        live.register(self.settings.context.run, self.settings.stage, self.tally)
        if self.settings.context.traces is not None and self._guard.tracer is None:
            from beam_obs.traces.step_tracer import StepTracer

            self.trace_by(StepTracer(TracedStep(self.settings.stage, self.settings.context.traces)))
        return self._lifecycle.setup()

    def trace_by(self, tracer: StepTracer) -> None:
        self._guard.tracer = tracer

    def start_bundle(self) -> Any:
        if self._guard.tracer is not None:
            self._guard.tracer.start_bundle()
        if self._retries is not None:
            self._retries.start_bundle()
        return self._lifecycle.start_bundle()

    def finish_bundle(self) -> Any:
        """Gives what the user's DoFn gives when a bundle ends, or a dead letter without an element."""
        guard = self._guard
        try:
            results = self._lifecycle.finish_bundle()
            if results is not None:
                results = list(results)
                guard.out += sum(getattr(result, "tag", None) != EVIDENCE_TAG for result in results)
        except Exception as error:
            results = self._refused_at_the_end(error)
        if guard.tracer is not None:
            guard.tracer.finish_bundle(_told(self.tally.read()))
        try:
            self.tally.flush()
        except Exception:
            guard.internal_errors += 1
        return results

    def teardown(self) -> Any:
        """Tears the user's DoFn down."""
        live.retire(self.settings.context.run, self.settings.stage, self.tally)
        return self._lifecycle.teardown()

    def timer(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        guard = self._guard

        def guarded(**kwargs: Any) -> list[Any]:
            try:
                results = callback(**kwargs)
                results = [] if results is None else list(results)
            except Exception as error:
                return guard.refuse(NO_ELEMENT, error)
            guard.out += len(results)
            return results

        return guarded

    def plain(self, called: UserCallable, takes_arguments: bool) -> Process:
        """Returns the process function of a step that is not woven.

        Args:
          called: what the DoFn calls, with the element first.
          takes_arguments: whether there are more arguments than the element.
        """
        if self.settings.splits_batches:
            return self._counted(BatchSplitter(self._tried(called), self._guard).counted_process())
        counted = self._process(called, takes_arguments)
        if self.settings.keeps_lineage and not self._is_splittable:
            counted = CountedProcess(keeping_lineage(counted.process), counted.read)
        return self._counted(counted)

    def callable(self, called: UserCallable, takes_arguments: bool) -> UserCallable:
        return UserCallable(DO_FN, self.plain(called, takes_arguments))

    def of_lists(self, called: UserCallable) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
        if not self.settings.splits_batches:
            return self.callable(called, True).function, None
        splitter = BatchSplitter(self._tried(called), self._guard)
        self._counted(splitter.counted_process())
        return splitter.whole, splitter.alone

    def woven(
        self, called: UserCallable, step: WovenStep, takes_arguments: bool, state: State | None = None
    ) -> Process:
        if self.settings.splits_batches or (self.settings.keeps_lineage and not self._is_splittable):
            # Lists whose examples may fail alone, and attributes of elements, are seen to in plain results.
            return one_to_one(self.callable(called, takes_arguments), step, takes_arguments, state)
        return self._counted(self._process(called, takes_arguments, step, state))

    def _process(
        self,
        called: UserCallable,
        takes_arguments: bool,
        step: WovenStep | None = None,
        state: State | None = None,
    ) -> CountedProcess:
        called = self._tried(self._exploding(self._isolated(called)))
        return counted_process(called, self._guard, takes_arguments, step, state, self._is_splittable)

    def _isolated(self, called: UserCallable) -> UserCallable:
        """Has elements handled in a process of their own, where the stage does."""
        return self._lifecycle.around(called) if isinstance(self._lifecycle, IsolatedDoFn) else called

    def _tried(self, called: UserCallable) -> UserCallable:
        """Tries elements again, where the stage does."""
        return called if self._retries is None else self._retries.around(called)

    def _counted(self, counted: CountedProcess) -> Process:
        self.tally = Tally(counted.read)
        self._guard.observe_latency = self.tally.observe_latency
        return counted.process

    def _exploding(self, called: UserCallable) -> UserCallable:
        """Makes elements of the batches that `process` gives."""
        if not self._explodes:
            return called
        function, dofn = called.function, self.dofn

        def process(*args: Any, **kwargs: Any) -> Any:
            results = function(*args, **kwargs)
            return None if results is None else _exploded(dofn.output_batch_converter, results)

        return called._replace(function=process)

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

    def _process_batch(self, batch: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """Processes a batch; one that fails is tried again element by element."""
        guard = self._guard
        try:
            results = self._batch_results(batch, args, kwargs)
            guard.taken += self.dofn.input_batch_converter.get_length(batch)
        except Exception as error:
            return self._one_by_one(batch, args, kwargs, error)
        guard.out += len(results)
        return results

    def _batch_results(self, batch: Any, args: Any, kwargs: Any) -> list[Any]:
        results = self.dofn.process_batch(batch, *args, **kwargs)
        if results is None:
            return []
        if self.dofn._process_batch_yields_elements:
            return list(results)
        return list(_exploded(self.dofn.output_batch_converter, results))

    def _one_by_one(self, batch: Any, args: Any, kwargs: Any, error: Exception) -> list[Any]:
        guard, converter = self._guard, self.dofn.input_batch_converter
        if not guard.may_refuse(error):
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


def _retries(settings: GuardSettings, guard: Guard) -> Retries | None:
    if settings.retry is None:
        return None
    return Retries(settings.retry, settings.context.run, settings.stage, settings.settings.output_cap, guard)


# As Beam's decorator marks a method.
GuardedCalls._process_batch._beam_yields_elements = True  # type: ignore[attr-defined]


def _told(counts: Counts) -> dict[str, int]:
    """Returns counts by the names that spans give them."""
    return {
        names.ELEMENTS_IN: counts.taken,
        names.ELEMENTS_OUT: counts.out,
        names.ELEMENTS_DEAD: counts.dead,
        names.ELEMENTS_FILTERED: counts.filtered,
    }


def _exploded(converter: Any, batches: Iterable[Any]) -> Iterable[Any]:
    for batch in batches:
        yield from converter.explode_batch(batch)
