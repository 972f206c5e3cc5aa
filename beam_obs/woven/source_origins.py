"""Origins of records where they come into being: behind an Impulse, or behind a source of Beam's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.coders import Coder
from apache_beam.internal import pickler
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.metrics.names import NAMESPACE, TRACEPARENTS_IGNORED
from beam_obs.records.contributors import NO_SOURCE, UNKNOWN
from beam_obs.records.known_partitions import note_partition
from beam_obs.records.message_identity import message_position, uri_of
from beam_obs.records.origin import Partition, unlocated_origin
from beam_obs.traces.incoming import note_incoming
from beam_obs.traces.propagation import MalformedTraceparent, of_attributes
from beam_obs.woven.tallying import Tallying
from beam_obs.wrapper.element_forms import PLAIN, WOVEN, Ends, pack
from beam_obs.wrapper.step_tally import HELD_MOST, settle_all
from beam_obs.wrapper.untyped import Untyped
from beam_obs.wrapper.woven_step import Process, WovenStep

BY_INDEX = "index"
BY_CONTENT = "content"
TOLD = "told"
NOT_A_SOURCE = "not a source"


class SourceOrigins(NamedTuple):
    """How records get their origins.

    Args:
      kind: `BY_INDEX` for what one call gives in the same order each time, `BY_CONTENT`, `TOLD` for blocks
        that bring the origins of their records, or `NOT_A_SOURCE`.
      partition: the partition that they are of.
      coders: of the outputs, by tag, None for the main one.
      messages: the partition of messages that have an id, where the source may give some.
      id_label: the attribute that tells messages apart, or None for their id.
      gives_data: whether a message is given as its data alone.
    """

    kind: str
    partition: Partition
    coders: dict[str | None, Coder]
    messages: Partition | None = None
    id_label: str | None = None
    gives_data: bool = False


class Stamper:
    """Gives records their origins; occurrences are counted by bundle."""

    def __init__(self, source: SourceOrigins) -> None:
        self.source = source
        self.clear()

    def clear(self) -> None:
        """Begins a bundle."""
        self._seen: dict[bytes, int] = {}
        self._index = 0

    def stamp(self, result: Any) -> bytes:
        """Returns the provenance of the next result of a source's DoFn."""
        source = self.source
        if source.kind == BY_INDEX:
            self._index += 1
            return source.partition.origin(self._index - 1)
        if source.kind == NOT_A_SOURCE:
            return NO_SOURCE
        if source.kind == TOLD:
            return UNKNOWN
        tag = None
        if isinstance(result, TaggedOutput):
            tag, result = result.tag, result.value
        if isinstance(result, (WindowedValue, TimestampedValue)):
            result = result.value
        if source.messages is not None:
            position = message_position(result, source.id_label)
            if position is not None:
                origin = source.messages.origin(position)
                if result.attributes:
                    _note_trace(origin, result.attributes)
                return origin
            if source.gives_data:
                result = result.data
        coder = source.coders.get(tag)
        if coder is None:
            return UNKNOWN
        try:
            content = coder.encode(result)
        except Exception:
            try:
                content = pickler.dumps(result)
            except Exception:
                return UNKNOWN
        origin = unlocated_origin(source.partition, content, 0)
        occurrence = self._seen.get(origin, 0)
        self._seen[origin] = occurrence + 1
        return origin if occurrence == 0 else unlocated_origin(source.partition, content, occurrence)


def _note_trace(origin: bytes, attributes: Mapping[str, str]) -> None:
    """Notes the trace that a message came with, if it did."""
    try:
        incoming = of_attributes(attributes)
    except MalformedTraceparent:
        Metrics.counter(NAMESPACE, TRACEPARENTS_IGNORED).inc()
        return
    if incoming is not None:
        note_incoming(origin, incoming)


class StampDoFn(Tallying, Untyped, beam.DoFn):
    """Stamps what leaves a source that is woven as a whole.

    Args:
      source: how.
      gives: form of the output.
    """

    def __init__(self, source: SourceOrigins, gives: str) -> None:
        self._source = source
        self._gives = gives

    @property
    def ends(self) -> Ends:
        """The forms of what it takes and gives."""
        return Ends(PLAIN, self._gives)

    def setup(self) -> None:
        """Notes what is read, for those who ask where a record came from."""
        messages = self._source.messages
        if messages is not None:
            note_partition(messages, uri_of(messages.name), positions="messages")

    def start_bundle(self) -> None:
        super().start_bundle()
        self._stamper = Stamper(self._source)

    def process(self, element: Any) -> Any:
        source = self._source
        message = element
        began = 0 if self.tracer is None else time.time_ns()
        if source.gives_data and isinstance(element, bytes):
            message = PubsubMessage._from_proto_str(element)
        origin = self._stamper.stamp(message)
        if self.tracer is not None:
            self.tracer.note(origin, began)
        if self.tally is not None:
            self.tally.gave(origin)
        return [pack(self._gives, origin, message.data if source.gives_data else element)]


def passes_blocks(dofn: Any) -> bool:
    """Returns whether a DoFn gives the records of blocks that tell their origins.

    It says so by an attribute ``passes_blocks``: blocks have an attribute ``origins``, an origin for each of
    the plain values that `process` gives first, in a list.
    """
    return bool(getattr(dofn, "passes_blocks", False))


def stamping_process(function: Callable[..., Any], stamper: Stamper, step: WovenStep, refuse: Any) -> Process:
    """Returns the process function of a step where records come into being.

    Args:
      function: the user's, of any number of results.
      stamper: gives them their origins.
      step: of the function.
      refuse: raises where the results are of a kind that Beam refuses.
    """

    tally, tracer = step.tally, step.source_tracer
    if tally is not None:
        tally.notes(taken=False, given=True, gives_given=True)

    def woven_process(element: Any, *args: Any, **kwargs: Any) -> Any:
        began = 0 if tracer is None else time.time_ns()
        return stamped(function(element, *args, **kwargs), began)

    def stamped(results: Any, began: int) -> Iterator[Any]:
        refuse(results)
        to_go = HELD_MOST
        for result in results if results is not None else ():
            origin = stamper.stamp(result)
            if tracer is not None:
                tracer.note(origin, began)
            if tally is not None:
                to_go -= 1
                if not to_go:
                    to_go = settle_all()
                tally.gave(origin)
            yield step.pack(origin, result)
            if tracer is not None:
                began = time.time_ns()

    return woven_process


def told_process(function: Callable[..., Any], step: WovenStep) -> Callable[..., Any]:
    """Returns the process function of a step that passes blocks.

    Args:
      function: the user's.
      step: of the function.
    """
    pack_result, is_woven, tally, tracer = step.pack, step.gives == WOVEN, step.tally, step.source_tracer
    if tally is not None:
        tally.notes(taken=False, given=True, gives_given=True)

    def woven_process(block: Any) -> Any:
        began = 0 if tracer is None else time.time_ns()
        results, origins = function(block), block.origins
        if origins is None:
            return packed(results)
        if tracer is not None:
            tracer.note_each(origins, began)
        told = (
            zip(origins, results, strict=False)
            if is_woven
            else [pack(step.gives, origin, result) for origin, result in zip(origins, results, strict=False)]
        )
        if tally is not None:
            tally.gave_each(origins if len(results) >= len(origins) else origins[: len(results)])
        if len(results) == len(origins):
            return told
        return [*told, *packed(results[len(origins) :])]

    def packed(results: Any) -> list[Any]:
        own = [own_origin(result) for result in results]
        if tally is not None:
            tally.gave_each(own)
        return list(map(pack_result, own, results))

    return woven_process


def own_origin(result: Any) -> bytes:
    """Returns the origin of what is refused, which brings its own; `UNKNOWN` for any other result."""
    origin = getattr(getattr(result, "value", None), "origin", None)
    return bytes.fromhex(origin) if isinstance(result, TaggedOutput) and origin else UNKNOWN


class TellingPayload:
    """The payload of a source's DoFn that is to tell the origins of what it gives in blocks.

    Args:
      payload: the DoFn, arguments and so on, as Beam pickled them.
    """

    def __init__(self, payload: bytes) -> None:
        self._payload = payload

    def __reduce__(self) -> Any:
        return (load_telling, (self._payload,))


def load_telling(payload: bytes) -> tuple[Any, ...]:
    """Returns Beam's tuple of a DoFn and its arguments, where the DoFn has been asked to tell origins."""
    dofn, *rest = pickler.loads(payload)
    dofn.tell_origins()
    return (dofn, *rest)


def passes_seeds(dofn: Any) -> bool:
    """Returns whether a source's DoFn gives what is not yet a record, such as a file or a block of records.

    It says so by an attribute ``gives_records`` that is False.
    """
    return getattr(dofn, "gives_records", True) is False
