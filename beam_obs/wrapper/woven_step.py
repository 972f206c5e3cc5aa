"""What a woven step's process function needs: its step, and which function it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from beam_obs.records.contributors import ORIGIN_BYTES, Contributors
from beam_obs.records.lineage_rows import filtered_row
from beam_obs.records.run_context import RunContext
from beam_obs.traces.incoming import INCOMING
from beam_obs.wrapper.element_forms import ORDINARY, ROWS
from beam_obs.wrapper.exception_note import noting
from beam_obs.wrapper.process_text import GENERATOR, Way, maker
from beam_obs.wrapper.step_tally import StepTally
from beam_obs.wrapper.user_callable import (
    FILTER,
    MAP,
    MAP_TUPLE,
    UserCallable,
    gives_generator,
    user_callable,
)

if TYPE_CHECKING:
    from beam_obs.traces.source_tracer import SourceTracer
    from beam_obs.traces.step_tracer import StepTracer

Process = Callable[..., Any]

RANDOM_BYTES = 7
"""The last bytes of an origin, by which sampling decides."""

_ABSENT = object()


class WovenStep(NamedTuple):
    """What a process function needs to know of its step.

    Args:
      label: full label of the step.
      takes: form of its elements.
      gives: form of its main output.
      pack: puts a provenance beside a result of any kind, inside of Beam's wrappers.
      filtered_least: elements that give nothing are noted where the low 56 bits of their origin are at
        least this; None notes none.
      tracer: makes spans of its records; None where the run is not traced.
      run: that it is in, where there is one with a store.
      tally: counts what passes the step for the ledger; None where nothing does.
      source_tracer: makes spans of the records that come into being in it; None where none do, or the run is
        not traced.
    """

    label: str
    takes: str
    gives: str
    pack: Callable[[bytes, Any], Any]
    filtered_least: int | None = None
    tracer: StepTracer | None = None
    run: RunContext | None = None
    tally: StepTally | None = None
    source_tracer: SourceTracer | None = None

    @property
    def note(self) -> Callable[[BaseException, bytes], None]:
        """What notes step and origin on an exception that fails the bundle, and tells of it in a span.

        By its attribute ``step`` the step is found from within user code.
        """
        note, tracer = noting(self.label), self.tracer
        if tracer is None:
            note.step = self  # type: ignore[attr-defined]
            return note

        def note_and_tell(error: BaseException, provenance: bytes) -> None:
            note(error, provenance)
            # The exception is what the user must see, whatever becomes of its span.
            with contextlib.suppress(Exception):
                tracer.failed(error, provenance)

        note_and_tell.step = self  # type: ignore[attr-defined]
        return note_and_tell

    @property
    def traces(self) -> bool:
        """Whether spans are made of records that go well."""
        return self.tracer is not None and self.tracer.least is not None

    @property
    def continues(self) -> bool:
        """Whether records may have come with a trace."""
        return self.tracer is not None and self.tracer.step.continues

    def names_of_call(self, called: UserCallable) -> dict[str, Any]:
        """Returns what the names in the texts of `process_text` stand for that have to do with a function.

        Args:
          called: what the user's DoFn calls, with the element first.
        """
        function, _ = origin_taker(called)
        least = self.tracer.least if self.tracer is not None else None
        if self.tracer is None or least is None:
            return {"function": function}
        gives_many = called.kind not in (MAP, MAP_TUPLE, FILTER)
        traced = self.tracer.calling(function, gives_many, called.kind == MAP_TUPLE)
        return {"function": function, "sampled": least[0], "traced": traced, "incoming": INCOMING}

    def call_for(self, function: Callable[..., Any]) -> Callable[[bytes], Callable[..., Any]]:
        """Returns what gives, for a provenance, the function to call: for a sampled record within a span.

        Args:
          function: the user's, of any number of results.
        """
        least = self.tracer.least if self.tracer is not None else None
        if self.tracer is None or least is None:
            return lambda _: function
        traced = self.tracer.calling(function, gives_many=True)
        if self.continues:
            return traced
        sampled = least[0]
        return lambda provenance: (
            function if len(provenance) != ORIGIN_BYTES or provenance[9] < sampled else traced(provenance)
        )

    def call_for_batch(
        self, function: Callable[..., Any], provenances: Sequence[bytes]
    ) -> Callable[..., Any]:
        """Returns what to call with a batch: where some of its records are sampled, within their spans.

        Args:
          function: the user's.
          provenances: of the records.
        """
        return function if self.tracer is None else self.tracer.calling_batch(function, provenances)

    def note_gathered(self, origin: bytes, found: Contributors) -> None:
        """Makes the span of what the step made of several elements.

        Args:
          origin: of what was made.
          found: the elements.
        """
        if self.tracer is not None:
            self.tracer.gathered(origin, found)

    @property
    def names(self) -> dict[str, Any]:
        """What the names in the texts of `process_text` stand for in this step."""
        least = self.filtered_least
        return {
            "ordinary": ORDINARY,
            "pack": self.pack,
            "note": self.note,
            "refuse_text": refuse_text,
            "least": None if least is None else least.to_bytes(RANDOM_BYTES, "big"),
            "note_filtered": self._note_filtered,
            "absent": _ABSENT,
            **({} if self.tally is None else self.tally.names),
        }

    def woven(self, way: Way, tells_origin: bool) -> Way:
        """Returns the process function that takes and gives what this step does.

        Args:
          way: one of plain elements.
          tells_origin: whether the user's function is called with the provenance too.
        """
        return replace(
            way,
            takes=self.takes,
            gives=self.gives,
            notes_filtered=self.filtered_least is not None,
            tells_origin=tells_origin,
            traces=self.traces,
            continues=self.traces and self.continues,
            tallies=self.tally is not None,
            settles=self.tally is not None and self.tally.settles and not way.is_splittable,
        )

    def _note_filtered(self, provenance: bytes) -> Iterable[Any]:
        return (
            [TaggedOutput(ROWS, filtered_row(self.label, provenance))]
            if len(provenance) == ORIGIN_BYTES
            else ()
        )


class State(NamedTuple):
    """How the calls of a function with state are watched: what one gives may come of more than its element.

    Args:
      watch: of the provenance of an element and the arguments behind it; returns a call, and the arguments
        for the user's function.
      outputs: of what the function gave and its call; gives it with its provenances, and ends the call.
    """

    watch: Callable[[bytes, tuple[Any, ...]], tuple[Any, list[Any]]]
    outputs: Callable[[Any, Any], Iterable[Any]]

    @property
    def names(self) -> dict[str, Any]:
        """What the names in the texts of `process_text` stand for."""
        return self._asdict()


def one_to_one(
    called: UserCallable, step: WovenStep, takes_arguments: bool, state: State | None = None
) -> Process:
    """Returns a process function whose outputs have the provenance of their element.

    Args:
      called: what the user's DoFn calls, with the element first.
      step: of the function.
      takes_arguments: whether there are more arguments than the element.
      state: for a function with state, whose outputs may have provenances of more.
    """
    is_generator = state is None and gives_generator(called)
    kind = GENERATOR if is_generator else called.kind
    _, tells_origin = origin_taker(called)
    way = Way(kind=kind, takes_arguments=takes_arguments, has_state=state is not None)
    if step.tally is not None:
        step.tally.notes(taken=True, given=state is None, gives_given=is_generator)
    names = step.names if state is None else step.names | state.names
    process, _ = maker(step.woven(way, tells_origin))({**step.names_of_call(called), **names})
    return process


def origin_taker(called: UserCallable) -> tuple[Callable[..., Any], bool]:
    """Returns what to call, and whether it takes the provenance behind the element.

    A function of a Map may have a method `with_origin` that does: looking for the origin by the stack, as
    `current_origin` does, costs it 1 us for each element.
    """
    taker = getattr(called.function, "with_origin", None) if called.kind == MAP else None
    return (called.function, False) if taker is None else (taker, True)


def stamps(dofn: beam.DoFn) -> bool:
    """Returns whether a user's DoFn puts the origins of elements into what it gives."""
    return origin_taker(user_callable(dofn))[1]


def refuse_text(results: Iterable[Any]) -> None:
    """Raises what Beam raises where a DoFn returns text, which would be taken apart into its letters."""
    if isinstance(results, (str, bytes, dict)):
        raise TypeError(
            f"Returning a {type(results).__name__} from a ParDo or FlatMap is not allowed. "
            f"Please use list({results!r}) if you really want this behavior."
        )
