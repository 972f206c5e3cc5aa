"""ReadFromPubSub: Beam's, observed; messages are known by their ids, what cannot be decoded is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PBegin, TaggedOutput
from apache_beam.transforms.error_handling import ErrorHandler

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.dead_letters.refusal_homes import RefusalHomes
from beam_obs.io.dead_letter_output import DeadLetterOutput
from beam_obs.io.refused_input import refuse_bytes
from beam_obs.metrics import live
from beam_obs.metrics.names import INNER_LEAF
from beam_obs.metrics.tally import Counts, Tally
from beam_obs.records.bad_input import BadMessage
from beam_obs.records.errors import RefusedRecord, UsageError
from beam_obs.records.given import given_flag
from beam_obs.records.known_partitions import note_partition
from beam_obs.records.message_identity import message_partition, message_position, uri_of
from beam_obs.records.run_context import DatasetDescription, RunContext, StageDescription, observation_of
from beam_obs.stages.pubsub_messages import pubsub
from beam_obs.stages.stamp import StampRecord
from beam_obs.traces.messaging import tell_received
from beam_obs.wrapper.failure import type_name
from beam_obs.wrapper.redaction import Redact, Redaction, redaction_within
from beam_obs.wrapper.refusal import DEAD_TAG
from beam_obs.wrapper.role import READ
from beam_obs.wrapper.stateless_dofn import StatelessDoFn


class ReadFromPubSub(DeadLetterOutput):
    """Reads messages of Pub/Sub, as `beam.io.ReadFromPubSub` does, which does the reading.

    The subscription (or topic) and the id of a message make its origin: a message that is delivered again
    has the same one. Needs the extra ``gcp``, and a runner that reads Pub/Sub: Dataflow, or the DirectRunner
    with ``--streaming``.

    Args:
      topic: ``projects/<project>/topics/<topic>``; a temporary subscription is made.
      subscription: ``projects/<project>/subscriptions/<subscription>``; give one of the two.
      id_label: attribute by which messages are told apart, as of `beam.io.ReadFromPubSub`; the origin of a
        message that has it is made of its value.
      with_attributes: whether elements are `PubsubMessage` objects, with id, publish time and attributes;
        else they are the data, as bytes.
      timestamp_attribute: as of `beam.io.ReadFromPubSub`.
      decode: a function of the data of a message, whose result is the element, e.g. ``json.loads``. What
        it raises on becomes a dead letter, with the data, id and publish time of the message; where dead
        letters have no home, it fails the bundle.
      stamp: whether records get lineage attributes: messages as attributes ``beam_obs-origin``, ...; of
        what `decode` gives, dicts and dataclasses, as `obs.Stamp` gives them.
      dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.
      redact: if given, refused data is left out of the dead letters: it has no fields.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.

    Raises:
      MissingExtra: Google's client libraries are not installed.
      UsageError: topic and subscription are not one of the two, or arguments do not fit together.

    >>> import json
    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> read = obs.ReadFromPubSub(subscription="projects/city-project/subscriptions/trips", decode=json.loads)
    >>> trips, dead = beam.Pipeline() | "trips" >> read.with_dead_letters()
    """

    role = READ

    def __init__(
        self,
        topic: str | None = None,
        subscription: str | None = None,
        id_label: str | None = None,
        with_attributes: bool = False,
        timestamp_attribute: str | None = None,
        *,
        decode: Callable[[bytes], Any] | None = None,
        stamp: bool = False,
        dead_letters: DeadLetters | ErrorHandler | None = None,
        redact: Redact | None = None,
        max_dead_rate: float | None = None,
        max_dead_minimum: int | None = None,
    ) -> None:
        beams = pubsub()
        super().__init__(dead_letters, redact, max_dead_rate, max_dead_minimum)
        at = f"obs.ReadFromPubSub at {self._made_at}"
        self._with_attributes = given_flag(with_attributes, "with_attributes")
        self.stamps_lineage = given_flag(stamp, "stamp")
        """Whether records leave with lineage attributes; Stages look for it upstream."""
        if decode is not None and not callable(decode):
            raise UsageError(f"{at} got decode={decode!r}: give a function of the data, e.g. json.loads")
        if decode is not None and with_attributes:
            raise UsageError(f"{at} has with_attributes=True and decode=: give one of them")
        if stamp and not with_attributes and decode is None:
            raise UsageError(
                f"{at} has stamp=True, and data has no room for lineage attributes: give "
                "with_attributes=True too, or decode="
            )
        try:
            self._read = beams.ReadFromPubSub(topic, subscription, id_label, True, timestamp_attribute)
        except (ValueError, TypeError) as error:
            raise UsageError(
                f"{at} got topic={topic!r}, subscription={subscription!r}: {error} Give one of "
                "'projects/<project>/topics/<topic>' and 'projects/<project>/subscriptions/<subscription>'"
            ) from error
        self._place = str(subscription or topic)
        self._id_label = id_label
        self._decode = decode

    def expand(self, pbegin: Any) -> Any:
        """Applies the read to a pipeline."""
        label = pbegin.pipeline._current_transform().full_label
        if not isinstance(pbegin, PBegin):
            raise UsageError(f"{label!r} (made at {self._made_at}) is applied to a pipeline, got {pbegin!r}")
        observation = observation_of(pbegin.pipeline)
        homes = RefusalHomes(observation, self._home, self._as_output)
        if observation.observed:
            observation.inputs.append(DatasetDescription(self.label, uri_of(self._place), label))
            observation.stages[label] = StageDescription(label, type(self).__name__, "raw")
        settings = MessageSettings(
            label,
            observation.context,
            self._place,
            self._id_label,
            self._with_attributes,
            self._decode,
            self.stamps_lineage,
            homes.keep_refusals,
            redaction_within(observation, self._redact),
        )
        messages = pbegin | "Read" >> self._read
        take = beam.ParDo(TakeMessages(settings)).with_output_types(self._element_type())
        take.label = INNER_LEAF
        can_refuse = self._decode is not None or self.stamps_lineage
        if not homes.gives_letters and not (can_refuse and homes.keep_refusals):
            return messages | take
        return self._read_by(take, messages, pbegin, homes)

    def _element_type(self) -> Any:
        if self._with_attributes:
            return pubsub().PubsubMessage
        return bytes if self._decode is None else Any


class MessageSettings(NamedTuple):
    """How a read treats messages.

    Args:
      stage: full label of the read.
      context: the run.
      place: topic or subscription.
      id_label: the attribute that tells messages apart, or None for their id.
      whole: whether elements are messages.
      decode: makes the element of the data, or None.
      stamp: whether records get their lineage attributes.
      keeps_dead_letters: whether refusals have a home; if not, they are raised.
      redaction: what of refused messages may be kept; None for all.
    """

    stage: str
    context: RunContext
    place: str
    id_label: str | None
    whole: bool
    decode: Callable[[bytes], Any] | None
    stamp: bool
    keeps_dead_letters: bool
    redaction: Redaction | None


class TakeMessages(StatelessDoFn):
    """Gives of each message what the user asked for, and counts.

    Args:
      settings: how to treat messages.
    """

    gives_one = True
    """For the weave: of each message that it takes it gives no more than one."""

    def __init__(self, settings: MessageSettings) -> None:
        self._settings = settings
        self._stamp = StampRecord(settings.context) if settings.stamp else None

    def setup(self) -> None:
        """Makes the counts, and notes what is read, for those who ask where a record came from."""
        settings = self._settings
        self._out = self._dead = 0
        self._partition = message_partition(settings.place)
        note_partition(
            self._partition, uri_of(settings.place), settings.context.run, settings.stage, "messages"
        )
        self._tally = Tally(lambda: Counts(taken=self._out + self._dead, out=self._out, dead=self._dead))
        live.register(settings.context.run, settings.stage, self._tally)

    def process(self, message: Any) -> Iterable[Any]:
        """Gives the message, its data, or what it decodes to; or a refusal."""
        settings = self._settings
        if settings.context.traces is not None:
            tell_received(settings.place, message)
        try:
            record = message if settings.whole else message.data
            if settings.decode is not None:
                record = settings.decode(record)
            if self._stamp is not None:
                record = self._stamp.with_origin(record, self._origin(message) or b"")
        except MemoryError:
            raise
        except Exception as error:
            self._dead += 1
            return [self._refuse(message, error)]
        self._out += 1
        return [record]

    def finish_bundle(self) -> None:
        """Adds to Beam's counters."""
        self._tally.flush()

    def teardown(self) -> None:
        """Lets go of the counts."""
        live.retire(self._settings.context.run, self._settings.stage, self._tally)

    def _origin(self, message: Any) -> bytes | None:
        position = message_position(message, self._settings.id_label)
        return None if position is None else self._partition.origin(position)

    def _refuse(self, message: Any, error: Exception) -> Any:
        settings = self._settings
        origin = self._origin(message)
        bad = BadMessage(
            f"message {message.message_id}, published {_time_text(message.publish_time)}: "
            f"{type_name(error)}: {error}",
            type_name(error),
        )
        if not settings.keeps_dead_letters:
            raise RefusedRecord(settings.stage, f"{type_name(bad)}: {bad}") from error
        refusal = refuse_bytes(
            message.data or b"",
            bad,
            settings.stage,
            origin=None if origin is None else origin.hex(),
            source_uri=uri_of(settings.place),
            position=None,
            redaction=settings.redaction,
        )
        return TaggedOutput(DEAD_TAG, refusal)


def _time_text(published: Any) -> str:
    return "at an unknown time" if published is None else published.isoformat().replace("+00:00", "Z")
