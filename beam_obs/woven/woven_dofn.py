"""The DoFn of a woven step: the user's DoFn does the work on plain values, provenances go around it.

A stage's DoFn is taken out of its wrapper, and called as the stage calls it: there is one wrapper, not two.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.runners.common import MethodWrapper
from apache_beam.transforms.window import GlobalWindows

from beam_obs.beam_private import StateDoFnParam, get_arg_placeholders
from beam_obs.records.contributors import UNKNOWN
from beam_obs.records.run_context import RunContext
from beam_obs.woven.batches import WovenBatchConverter, batch_process, yielding_batches
from beam_obs.woven.bundle_origins import BundleOrigins, holding_process, noting_process
from beam_obs.woven.gathered import flush_gathered
from beam_obs.woven.held_back import emits_at_the_end, looks_at_itself, may_give, unchecked
from beam_obs.woven.inference import inference_process
from beam_obs.woven.plain_arguments import (
    Placeholders,
    behind_the_element,
    shown_default,
    with_plain_arguments,
)
from beam_obs.woven.side_default import process_from_side
from beam_obs.woven.source_origins import TOLD, Stamper, own_origin, stamping_process, told_process
from beam_obs.woven.state import HISTORY, HISTORY_PARAM, remembers, stateful_timer, watched_state
from beam_obs.woven.step_settings import WovenSettings
from beam_obs.woven.told_windows import WINDOWED, WINDOWED_PARAM, noting_windows
from beam_obs.wrapper.calls import Calls
from beam_obs.wrapper.choosing_dofn import choosing_process
from beam_obs.wrapper.dofn_parameters import asks_for
from beam_obs.wrapper.element_forms import MEMBERS, ROWS, packer
from beam_obs.wrapper.observed_dofn import ObservedDoFn
from beam_obs.wrapper.stand_in_dofn import StandInDoFn, innermost
from beam_obs.wrapper.step_tally import StepTally
from beam_obs.wrapper.user_callable import DO_FN, function_name, giving_many
from beam_obs.wrapper.woven_step import Process, WovenStep, refuse_text

if TYPE_CHECKING:
    from beam_obs.traces.step_tracer import StepTracer


class BatchesTaken:
    """The converter of the batches that a woven DoFn takes; Beam asks each copy that it unpickles for it."""

    def __get__(self, dofn: WovenDoFn | None, kind: type) -> Any:
        taken = None if dofn is None else getattr(dofn._dofn, "input_batch_converter", None)
        return None if dofn is None or taken is None else WovenBatchConverter(taken, dofn._settings.takes)


class BatchesGiven:
    """The converter of the batches that it gives."""

    def __get__(self, dofn: WovenDoFn | None, kind: type) -> Any:
        given = None if dofn is None else dofn._calls.output_batch_converter
        return None if dofn is None or given is None else WovenBatchConverter(given, dofn._settings.gives)


class WovenDoFn(StandInDoFn):
    """Does what `dofn` does, and gives each output its provenance.

    Args:
      dofn: the user's DoFn, or a stage's.
      args: the arguments that Beam has for it, side inputs as placeholders.
      kwargs: the same by name.
      settings: how the step is woven.
    """

    input_batch_converter: Any = BatchesTaken()
    output_batch_converter: Any = BatchesGiven()
    _stamper: Stamper | None
    _tracer: StepTracer | None
    _holds_back: bool
    _batched: int

    def __init__(self, dofn: beam.DoFn, args: Any, kwargs: Any, settings: WovenSettings) -> None:
        self._given = (args, kwargs)
        self._settings = settings
        # A copy, because counts are of the process function that is made of it.
        super().__init__(copy.copy(dofn.calls) if isinstance(dofn, ObservedDoFn) else Calls(dofn))

    @property
    def run_context(self) -> RunContext | None:
        return self._settings.run

    @property
    def step_label(self) -> str:
        return self._settings.label

    @property
    def tally(self) -> StepTally | None:
        """What counts what passes the step for the ledger; None where nothing does."""
        return self._tally

    # What Beam calls on workers.

    def start_bundle(self) -> Any:
        self._bundle.clear()
        if self._tracer is not None:
            self._tracer.start_bundle()
        if self._tally is not None:
            self._tally.clear()
        if self._stamper is not None:
            self._stamper.clear()
        return super().start_bundle()

    def finish_bundle(self) -> Any:
        results = super().finish_bundle()
        flush_gathered(self._batched)
        if self._tracer is not None:
            self._tracer.finish_bundle()
        self._batched = 0
        if results is None and not self._holds_back and self._tally is None:
            return None
        return self._leftovers(results if results is not None else ())

    # What Beam asks: of types it is told nothing.

    def get_type_hints(self) -> Any:
        return beam.typehints.decorators.IOTypeHints.empty()

    def default_type_hints(self) -> Any:
        return beam.typehints.decorators.IOTypeHints.empty()

    def infer_output_type(self, input_type: Any) -> Any:
        return beam.typehints.Any

    def shown_arguments(self, method: str) -> tuple[list[str], list[Any]]:
        """Returns the user's arguments, but for those that see elements, and one more state."""
        names, defaults = self.users_arguments(method)
        if method == "process":
            defaults = self._shown_defaults
        if method in self._with_state:
            names, defaults = [*names, HISTORY], [*defaults, HISTORY_PARAM]
        if method == "process" and self._asks_for_windows:
            names, defaults = [*names, WINDOWED], [*defaults, WINDOWED_PARAM]
        return names, defaults

    # How it is put together.

    def make_process(self) -> Process:
        """Returns a process function that gives each output its provenance."""
        settings = self._settings
        self._batched = 0
        self._tally = None if settings.points is None else StepTally(settings.points)
        self._bundle = BundleOrigins(settings.label, settings.limit)
        self._stamper = None if settings.source is None else Stamper(settings.source)
        self._holds_back = emits_at_the_end(innermost(self._dofn))
        self._tracer = tracer = self._step_tracer()
        makes_records = self._stamper is not None
        self._step = WovenStep(
            settings.label,
            settings.takes,
            settings.gives,
            self._packer(),
            settings.filtered_least,
            None if makes_records else tracer,
            settings.run,
            self._tally,
            tracer if makes_records else None,  # type: ignore[arg-type]
        )
        self._shown_defaults = [shown_default(settings.takes, default) for default in self._defaults]
        self._with_state = {callback.__name__ for callback in self.timer_callbacks()}
        if self.is_stateful:
            self._with_state.add("process")
        self._asks_for_windows = (
            self._tally is not None
            and self._tally.tells_windows
            and not any(asks_for(one, beam.DoFn.WindowedValueParam) for one in self._shown_defaults)
        )
        process = self._stateful() if self.is_stateful else self._stateless()
        if self._tally is not None and self._stamper is None and self._refuses_others:
            # What leaves need not have the origin of what came.
            self._tally.has_given = False
        placeholders = self._placeholders()
        process = with_plain_arguments(
            process, settings.takes, self._defaults, placeholders, self._element_at
        )
        tally = self._tally
        if tally is None or not tally.tells_windows:
            return process
        takes_arguments = self.is_stateful or self.takes_arguments(any(self._given))
        return noting_windows(process, tally.came_in, placeholders, self._element_at, takes_arguments)

    def make_process_batch(self) -> Process:
        """Returns what gives what comes of a batch the provenance of the batch."""
        calls = self._calls
        return batch_process(
            calls.process_batch,
            self._step,
            self._settings.limit,
            not calls.batch_yields_elements,
            calls.output_batch_converter,
        )

    def make_timer(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Returns a callback whose outputs have the provenance of the key's history."""
        names, defaults = self.users_arguments(callback.__name__)
        state_names = {
            argument: default.state_spec.name
            for argument, default in zip(names[len(names) - len(defaults) :], defaults, strict=True)
            if isinstance(default, StateDoFnParam) and self._remembers
        }
        called = self._calls.timer(callback)
        return stateful_timer(called, self._step, self._settings.limit, self._state_names, state_names)

    def _step_tracer(self) -> StepTracer | None:
        """Returns what makes the spans of the step, which tell the user's function."""
        traced = self._settings.traced
        if traced is None:
            return None
        if self._stamper is not None:
            from beam_obs.traces.source_tracer import SourceTracer

            return SourceTracer(traced)
        from beam_obs.traces.step_tracer import StepTracer

        function = function_name(innermost(self._dofn))
        tracer = StepTracer(dataclasses.replace(traced, function=function))
        self._bundle.tell = tracer.gathered
        self._calls.trace_by(tracer)
        return tracer

    def _packer(self) -> Callable[[bytes, Any], Any]:
        settings = self._settings
        tally = self._tally
        notes = None if tally is None else tally.tags
        has_moved = tally.has_moved if tally is not None and tally.knows_windows else None
        pack = packer(settings.gives, settings.tags, settings.window_fn, notes, has_moved)
        if self._refuses_others:
            pack = _with_own_origins(pack)
        return self._counting(pack) if settings.keeps_batches else pack

    def _counting(self, pack: Callable[[bytes, Any], Any]) -> Callable[[bytes, Any], Any]:
        """Counts what is in the lists of a step whose outputs are a key and a list each."""

        def pack_and_count(provenance: bytes, result: Any) -> Any:
            if type(result) is tuple:  # not what a Stage around it refuses
                self._batched += len(result[1])
            return pack(provenance, result)

        return pack_and_count

    def _stateless(self) -> Process:
        settings, step, calls = self._settings, self._step, self._calls
        takes_arguments = self.takes_arguments(any(self._given))
        if settings.defaults_to_side or self._stamper is not None:
            return self._of_others(takes_arguments)
        if settings.takes == MEMBERS:
            return choosing_process(unchecked(self._dofn).choose, step)
        if settings.is_inference:
            whole, alone = calls.of_lists(self._called)
            return inference_process(whole, step, settings.limit, alone)
        if calls.yields_batches:
            return yielding_batches(self._called.function, step, calls.output_batch_converter)
        if self._holds_back and looks_at_itself(innermost(self._dofn)):
            return self._of_others(takes_arguments)
        if self._holds_back or self._dofn._process_batch_defined:
            # What an element gives may come later, or with others.
            step = step._replace(filtered_least=None)
        process = calls.woven(self._called, step, takes_arguments)
        return noting_process(process, self._bundle, step) if self._holds_back else process

    def _of_others(self, takes_arguments: bool) -> Process:
        """Returns a process function whose outputs have their provenances from elsewhere than the element."""
        step, stamper = self._step, self._stamper
        called = self._calls.callable(self._called, takes_arguments)
        refuse = refuse_text if called.kind == DO_FN else _accept
        if self._settings.defaults_to_side:
            return process_from_side(giving_many(called), step)
        if stamper is None:
            return holding_process(giving_many(called), self._bundle, step, refuse)
        if stamper.source.kind == TOLD:
            return told_process(called.function, step)
        return stamping_process(giving_many(called), stamper, step, refuse)

    def _stateful(self) -> Process:
        at = {
            placeholder.state_spec.name: behind_the_element(position, self._element_at)
            for position, placeholder in self._placeholders()
            if isinstance(placeholder, StateDoFnParam)
        }
        history_at = at.pop(HISTORY)
        if not self._remembers:
            at.clear()
        states_at = {position: name for name, position in at.items()}
        # What comes of records in state has its origin behind the step, and is counted there; what timers
        # give where no record is in it has none, and not all steps behind count such.
        timers_give = any(map(may_give, self.timer_callbacks()))
        counts_given = self._tally is not None and not self._remembers and not timers_give
        limit, names = self._settings.limit, self._state_names
        state = watched_state(self._step, limit, names, history_at, states_at, counts_given)
        process = self._calls.woven(self._called, self._step, True, state)
        if self._tally is not None and counts_given:
            self._tally.notes(taken=True, given=True, gives_given=True)
        return process

    def _placeholders(self) -> Placeholders:
        self.process = lambda *args, **kwargs: None
        args, kwargs = self._given
        found, _, _ = get_arg_placeholders(
            MethodWrapper(self, "process"), list(args or ()), dict(kwargs or {})
        )
        return list(found)

    @property
    def _remembers(self) -> bool:
        return remembers(unchecked(innermost(self._dofn)))

    @property
    def _refuses_others(self) -> bool:
        return bool(getattr(innermost(self._dofn), "refuses_others", False))

    @property
    def _state_names(self) -> frozenset[str]:
        return frozenset(spec.name for spec in self._states)

    def _leftovers(self, results: Any) -> Iterator[Any]:
        bundle, settings = self._bundle, self._settings
        bundle.finish()
        if self._tally is not None and self._tally.tells_windows:
            self._tally.came_in((None,))
        for result in results:
            if self._stamper is not None:
                provenance = self._stamper.stamp(result)
            elif settings.passes_summaries:
                provenance = bundle.summary()
            else:
                provenance = bundle.origin() if self._holds_back else UNKNOWN
            if self._tally is not None:
                self._tally.gave(provenance)
            yield self._step.pack(provenance, result)
        for row in bundle.rows():
            yield TaggedOutput(ROWS, GlobalWindows.windowed_value(row))
        if self._tally is not None:
            yield from self._tally.rows()


def _accept(results: Any) -> None:
    """Takes results of any kind: a FlatMap may return text."""


def _with_own_origins(pack: Callable[[bytes, Any], Any]) -> Callable[[bytes, Any], Any]:
    """For a step that refuses others than its element: what is refused has the origin that it brings."""
    return lambda provenance, result: pack(own_origin(result) or provenance, result)
