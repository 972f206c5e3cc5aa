"""WriteToPubSub: Beam's, observed; messages that Pub/Sub would refuse are dead letters."""

from __future__ import annotations

from typing import Any

from beam_obs.io.service_write import ServiceWrite
from beam_obs.stages.dead_letters import DeadLetters
from beam_obs.stages.pubsub_messages import checked_message, pubsub
from beam_obs.wrapper.redaction import Redact


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
      dead_letters: a home for the dead letters.
      redact: what stays out of them, as for a `Stage`; of bytes nothing is kept then.

    Raises:
      MissingExtra: Google's client libraries are not installed.
      ValueError: the topic is not one.
    """

    def __init__(
        self,
        topic: str,
        with_attributes: bool = False,
        id_label: str | None = None,
        timestamp_attribute: str | None = None,
        publish_with_ordering_key: bool = False,
        *,
        dead_letters: DeadLetters | None = None,
        redact: Redact | None = None,
    ) -> None:
        beams = pubsub()
        super().__init__(f"pubsub:{topic}", dead_letters, redact)
        # A late addition of Beam's: given only where it is asked for.
        ordered = {"publish_with_ordering_key": True} if publish_with_ordering_key else {}
        self._of_beam = beams.WriteToPubSub(topic, with_attributes, id_label, timestamp_attribute, **ordered)
        self._with_attributes = with_attributes

    def _attempt(self, pcoll: Any) -> Any:
        return checked_message if self._with_attributes else _checked_data

    def _write(self, pcoll: Any) -> tuple[Any, Any]:
        return pcoll | "Write" >> self._of_beam, None


def _checked_data(data: Any) -> Any:
    if not isinstance(data, (bytes, str)):
        raise TypeError(f"a message is bytes, got {type(data).__qualname__}")
    if not data:
        raise ValueError("a message without attributes must not be empty")
    checked_message(pubsub().PubsubMessage(data if isinstance(data, bytes) else data.encode(), {}))
    return data
