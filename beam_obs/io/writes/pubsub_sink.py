"""WriteToPubSub: Beam's, observed; messages that Pub/Sub would refuse are dead letters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apache_beam.transforms.error_handling import ErrorHandler

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.io.writes.service_write import ServiceWrite
from beam_obs.records.lineage_attributes import Attributes
from beam_obs.stages.pubsub_messages import checked_message, is_message, not_a_topic, pubsub, stamped_message
from beam_obs.traces.messaging import tell_sent
from beam_obs.wrapper.current_origin import current_origin
from beam_obs.wrapper.redaction import Redact
from beam_obs.wrapper.untyped import untyped


class WriteToPubSub(ServiceWrite):
    """Publishes messages to Pub/Sub, as `beam.io.WriteToPubSub` does.

    Pub/Sub answers for a request of many messages as a whole, and Beam fails the bundle then. So each
    message is held against the limits of the service before it is sent: one that is too large, empty, or
    has attributes that are too many, too long or no text becomes a dead letter and the rest is published. A
    topic that is not there, or may not be published to, fails the job. Where dead letters have no home, so
    does a refused message. Needs the extra ``gcp``.

    Args:
      topic: ``projects/<project>/topics/<topic>``.
      with_attributes: whether elements are `PubsubMessage` objects; else they are bytes.
      id_label, timestamp_attribute, publish_with_ordering_key: as of `beam.io.WriteToPubSub`.
      stamp: whether messages get their lineage attributes as attributes ``beam_obs-origin``,
        ``beam_obs-run``, ..., and a ``traceparent`` unless they have one; by default in an observed pipeline
        that is woven, for messages that have room for so many.
      dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.
      redact: what stays out of them, as for a `Stage`; of bytes nothing is kept then.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.

    Raises:
      MissingExtra: Google's client libraries are not installed.
      UsageError: the topic is not one.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> trips = beam.Pipeline() | beam.Create([b"trip"])
    >>> write = obs.WriteToPubSub("projects/city-project/topics/trips")
    >>> published, dead = trips | "trips" >> write.with_dead_letters()
    """

    def __init__(
        self,
        topic: str,
        with_attributes: bool = False,
        id_label: str | None = None,
        timestamp_attribute: str | None = None,
        publish_with_ordering_key: bool = False,
        *,
        stamp: bool | None = None,
        dead_letters: DeadLetters | ErrorHandler | None = None,
        redact: Redact | None = None,
        max_dead_rate: float | None = None,
        max_dead_minimum: int | None = None,
    ) -> None:
        beams = pubsub()
        super().__init__(f"pubsub:{topic}", dead_letters, redact, stamp, max_dead_rate, max_dead_minimum)
        # A late addition of Beam's: given only where it is asked for.
        ordered = {"publish_with_ordering_key": True} if publish_with_ordering_key else {}
        self._arguments: Any = ((id_label, timestamp_attribute), ordered)
        self._topic = topic
        try:
            beams.WriteToPubSub(topic, with_attributes, id_label, timestamp_attribute, **ordered)
        except (ValueError, TypeError) as error:
            raise not_a_topic("obs.WriteToPubSub", topic, error) from error
        self._with_attributes = with_attributes

    def _has_room(self) -> bool:
        return True

    def _stamped_type(self, pcoll: Any) -> Any:
        return pubsub().PubsubMessage

    def _attempt(self, pcoll: Any, attributes: Attributes | None) -> Any:
        check = checked_message if self._with_attributes else _checked_data
        return check if attributes is None else StampMessage(check, attributes, self._topic)

    def _write(self, pcoll: Any) -> tuple[Any, Any]:
        arguments, ordered = self._arguments
        # What is stamped are messages, whatever they were.
        are_messages = self._with_attributes or pcoll.element_type is pubsub().PubsubMessage
        write = pubsub().WriteToPubSub(self._topic, are_messages, *arguments, **ordered)
        return pcoll | "Write" >> write, None


@untyped
class StampMessage:
    """Gives a message with lineage attributes, if it has room for them.

    Args:
      check: gives back what can be published, and raises on all else.
      attributes: makes the attributes.
      topic: that messages go to.
    """

    def __init__(self, check: Callable[[Any], Any], attributes: Attributes, topic: str) -> None:
        self._check = check
        self._attributes = attributes
        self._topic = topic

    def __call__(self, message: Any) -> Any:
        """Returns a `PubsubMessage`."""
        return self.with_origin(message, current_origin() or b"")

    def with_origin(self, message: Any, provenance: bytes) -> Any:
        """Returns a `PubsubMessage`; woven steps call this.

        Args:
          message: a message or its data.
          provenance: its origin, if it is of 16 bytes.
        """
        checked = self._check(message)
        if not is_message(checked):
            checked = pubsub().PubsubMessage(checked if isinstance(checked, bytes) else checked.encode(), {})
        tell_sent(self._topic, checked)
        stamped = stamped_message(checked, self._attributes.of(provenance))
        try:
            return checked_message(stamped)
        except ValueError:  # too large with them, or with too many
            return checked


@untyped
def _checked_data(data: Any) -> Any:
    if not isinstance(data, (bytes, str)):
        raise TypeError(f"a message is bytes, got {type(data).__qualname__}")
    if not data:
        raise ValueError("a message without attributes must not be empty")
    checked_message(pubsub().PubsubMessage(data if isinstance(data, bytes) else data.encode(), {}))
    return data
