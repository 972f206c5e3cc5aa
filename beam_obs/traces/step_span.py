"""A span of a record at a step: noted as a few numbers while the step works, its ids and text made behind it.

A record that is sampled is one among a hundred, so that what is done for it is done with nothing at hand: the
same work costs half where the spans of a bundle have it done one after the other. So a span has its ids,
parent and attributes when somebody asks for them, as user code may, or else with all others of its bundle.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Link, SpanContext, TraceFlags, TraceState

from beam_obs.records.span_rows import attribute_text, quoted
from beam_obs.traces import attributes as names
from beam_obs.traces.incoming import came_with, trace_id_of
from beam_obs.traces.propagation import RANDOM
from beam_obs.traces.record_span import RecordSpan
from beam_obs.traces.record_span_text import text_of_state
from beam_obs.traces.span_ids import behind_origin, below, hashed, span_id_of

if TYPE_CHECKING:
    from beam_obs.traces.bundle_spans import BundleSpans, SpanMade
    from beam_obs.traces.own_provider import OwnProvider

SAMPLED = TraceFlags(TraceFlags.SAMPLED)
SAMPLED_AND_RANDOM = TraceFlags(TraceFlags.SAMPLED | RANDOM)
_NOTHING: Mapping[str, Any] = {}
_BEFORE_NONCE = f'"}}}},{{"key":"{names.BUNDLE}","value":{{"stringValue":"'
"""What stands in the text of a span between its origin and the nonce of its bundle."""
_NO_STATE = TraceState()


class SpansOfStep:
    """What the spans of a step have in common.

    Args:
      maker: takes them when they have ended.
      name: of the step.
      id_label: the label that ids of its spans are made of.
      run: id of the run.
      told: attributes that all have.
      state: of the traces that begin here.
      is_counted: whether several elements of one origin have ids of their own.
      has_many: whether they are told apart by what they are, too.
      tells_place: whether all say where the record lies.
      elsewhere: gives the parent of an origin's span, where that is not of the same bundle.
      place: tells where a record lies.
    """

    def __init__(
        self,
        maker: OwnProvider,
        name: str,
        id_label: str,
        run: str,
        told: Mapping[str, str],
        state: TraceState,
        is_counted: bool,
        has_many: bool,
        tells_place: bool,
        elsewhere: Callable[[bytes], SpanContext | None],
        place: Callable[[bytes], Mapping[str, Any]],
    ) -> None:
        self.maker, self.name, self.id_label, self.run, self.told = maker, name, id_label, run, told
        self.state, self.is_counted, self.has_many = state, is_counted, has_many
        self.tells_place = tells_place
        self.elsewhere, self.place = elsewhere, place

    @functools.cached_property
    def id_place(self) -> bytes:
        """What stands behind the origin in what the id of the first of its kind is made of."""
        return behind_origin(self.run, self.id_label)

    @functools.cached_property
    def text_of_name(self) -> str:
        """What stands in the text of each, between its id and the time of its start."""
        return f',"name":{quoted(self.name)},"kind":1,"startTimeUnixNano":'

    @functools.cached_property
    def text_of_state(self) -> str:
        """What stands in the text of those whose trace begins here, for its state."""
        return text_of_state(self.state)

    @functools.cached_property
    def text_of_told(self) -> str:
        """The text of the attributes that all have, in the list of all, and what stands before the origin."""
        told = "".join(f"{attribute_text(key, value)}," for key, value in self.told.items())
        return f'{told}{{"key":"{names.ORIGIN}","value":{{"stringValue":"'


class StepSpan(RecordSpan):
    """A span that has begun.

    Args:
      of_step: what it has in common with others of its step.
      bundle: that it is of.
      origin: of the record.
      start_time: nanoseconds since the epoch.
      before: the span of the step that the element came from; None where it is not of this bundle.

    Attributes:
      serial: which of all spans of the bundle.
      begins_here: whether no step before this one has a span of it.
      is_sampled: whether the share has it made; what is refused has a span in any case.
      apart: what tells the element from others of its origin, where no span before does.
      more: attributes that not all of its step have.
    """

    serial = 0
    # Of most spans these stay as they are.
    links: Sequence[Link] = ()
    begins_here = False
    is_sampled = True
    apart = b""
    more: Mapping[str, Any] = _NOTHING
    _elsewhere: SpanContext | None = None
    _is_given = _is_touched = False
    # Until it is identified.
    _key = _parent_key = _trace_id = 0
    _flags = SAMPLED
    _state = _NO_STATE
    _nonce = ""

    def __init__(
        self,
        of_step: SpansOfStep,
        bundle: BundleSpans,
        origin: bytes,
        start_time: int,
        before: SpanMade | StepSpan | None,
    ) -> None:
        self._of_step = of_step
        self._bundle = bundle
        self._origin = origin
        self.start_time = start_time
        self._before = before

    @property
    def maker(self) -> OwnProvider:
        """What takes it when it has ended."""
        return self._of_step.maker

    @property
    def told_of_process(self) -> Mapping[str, Any]:
        return self._of_step.maker.told_of_process

    @property
    def key(self) -> int:
        """Its id."""
        if not self._key:
            self._bundle.identify()
            self.identify()  # where a process that was forked has it from the one before
        return self._key

    def identify(self) -> None:
        """Gives it its id and that of its parent, after the spans of the bundle that began before it."""
        if self._key:
            return
        of, origin, before, apart = self._of_step, self._origin, self._before, self.apart
        self._nonce = self._bundle.nonce
        self._trace_id = trace_id_of(origin)
        if before is None:
            self._find_parent()
        else:
            self._before = None
            if of.has_many:
                apart = below(before.key)
            if isinstance(before, StepSpan):
                self._parent_key, self._flags, self._state = before.key, before._flags, before._state
            else:
                self._go_on_in(before.context)
        key = hashed(origin + of.id_place + apart)
        if of.is_counted and (count := self._bundle.count(key)):
            key = span_id_of(origin, of.id_label, of.run, count, apart)
        self._key = key

    def _find_parent(self) -> None:
        of, origin, begins_here = self._of_step, self._origin, self.begins_here
        parent = came_with(origin) if begins_here else of.elsewhere(origin)
        if of.tells_place or (parent is None and not begins_here):
            self.more = {**self.more, **of.place(origin)}
        if parent is not None:
            self._go_on_in(parent)
        else:
            # The low 56 bits of an origin are uniform.
            self._flags, self._state = SAMPLED_AND_RANDOM, of.state if self.is_sampled else _NO_STATE

    def _go_on_in(self, parent: SpanContext) -> None:
        self._elsewhere = parent
        self._parent_key, self._state = parent.span_id, parent.trace_state
        self._flags = SAMPLED_AND_RANDOM if parent.trace_flags & RANDOM else SAMPLED

    def end(self, end_time: int | None = None) -> None:
        if self.end_time is None:
            self.end_time = time.time_ns() if end_time is None else end_time
            if self._is_given:
                self._of_step.maker.sink.take(self)

    def give(self) -> None:
        """Hands it on where it has ended, which it does itself from now on when it ends."""
        self._is_given = True
        if self.end_time is not None:
            self._of_step.maker.sink.take(self)

    def update_name(self, name: str) -> None:
        self._is_touched = bool(self.attributes)
        super().update_name(name)

    def __getattr__(self, name: str) -> Any:
        """Makes what nobody has asked for yet."""
        value: Any
        if name == "name":
            value = self._of_step.name
        elif name == "_maker":
            value = self._of_step.maker
        elif name == "context":
            key = self.key
            value = SpanContext(self._trace_id, key, False, self._flags, self._state)
        elif name == "parent":
            value = self._elsewhere
            if self.key and value is None and self._parent_key:
                value = SpanContext(self._trace_id, self._parent_key, False, self._flags, self._state)
        elif name == "attributes":
            self._is_touched = bool(self.key)
            told = {names.ORIGIN: self._origin.hex(), names.BUNDLE: self._nonce}
            value = {**self._of_step.told, **told, **self.more}
        else:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        setattr(self, name, value)
        return value

    def text(self) -> str | None:
        """Returns it as JSON, as `span_text` does of its row; None where there is more to be told of it."""
        if self._is_touched or self.events or self.links or self.status is not RecordSpan.status:
            return None
        of, origin, state = self._of_step, self._origin.hex(), self._state
        key = self._key or self.key
        more = ""
        if self.more:
            more = "".join([f",{attribute_text(name, value)}" for name, value in self.more.items()])
        told_of_state = of.text_of_state if state is of.state else text_of_state(state)
        below = f',"parentSpanId":"{self._parent_key:016x}"' if self._parent_key else ""
        return (
            f'{{"traceId":"{self._trace_id:032x}","spanId":"{key:016x}"{of.text_of_name}'
            f'"{self.start_time}","endTimeUnixNano":"{self.end_time}"{below}{told_of_state}'
            f',"attributes":[{of.text_of_told}{origin}{_BEFORE_NONCE}{self._nonce}"}}}}{more}]}}'
        )
