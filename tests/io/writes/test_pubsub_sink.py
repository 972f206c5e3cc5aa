"""What is published carries its attributes, where a message has room for them."""

from __future__ import annotations

from typing import Any

import pytest

import beam_obs as obs
from beam_obs.records.lineage_attributes import Attributes
from beam_obs.records.message_identity import message_partition
from beam_obs.records.origin import Partition
from beam_obs.records.run_context import RunContext
from beam_obs.woven.source_origins import BY_CONTENT, SourceOrigins, Stamper

pubsub: Any = pytest.importorskip("apache_beam.io.gcp.pubsub", reason="pip install 'beam_obs[gcp]'")
pytest.importorskip("google.cloud.pubsub", reason="pip install 'beam_obs[gcp]'")

ORIGIN = Partition("in.csv", "1").origin(1024)


def _stamped(message: Any, with_attributes: bool = False) -> Any:
    write = obs.WriteToPubSub("projects/test-project/topics/delays", with_attributes=with_attributes)
    return write._attempt(None, Attributes(RunContext("p", "r", "c"))).with_origin(message, ORIGIN)


@pytest.mark.parametrize("data", [b"late", "late"])
def test_data_becomes_a_message_with_attributes(data: Any) -> None:
    message = _stamped(data)

    assert message.data == b"late"
    assert message.attributes["beam_obs-origin"] == ORIGIN.hex()
    assert message.attributes["beam_obs-position"] == "1024"
    assert message.attributes["traceparent"].startswith(f"00-{ORIGIN.hex()}-")


def test_a_message_keeps_what_it_has() -> None:
    message = _stamped(pubsub.PubsubMessage(b"late", {"mine": "1"}, ordering_key="UA"), True)

    assert message.attributes["mine"] == "1"
    assert message.ordering_key == "UA"
    assert "beam_obs-run" in message.attributes


def test_a_message_goes_on_in_the_trace_that_it_came_with() -> None:
    came = "00-000102030405060708090a0b0c0d0e0f-0001020304050607-00"
    given = {"googclient_traceparent": came, "googclient_tracestate": "a=b"}
    partition = message_partition("projects/test-project/subscriptions/delays")
    source = SourceOrigins(BY_CONTENT, Partition("in", "", located=False), {}, partition)
    message = pubsub.PubsubMessage(b"late", given, "8842")
    origin = Stamper(source).stamp(message)

    write = obs.WriteToPubSub("projects/test-project/topics/delays", with_attributes=True)
    attempt = write._attempt(None, Attributes(RunContext("p", "r", "c")))
    attributes = attempt.with_origin(message, origin).attributes

    assert attributes["beam_obs-origin"] == origin.hex()
    assert {name: attributes.get(name) for name in ("traceparent", "tracestate")} == {
        "traceparent": came,
        "tracestate": "a=b",
    }


def test_what_an_earlier_run_stamped_on_a_message_goes() -> None:
    of_upstream = {"beam_obs-position": "7", "beam_obs-run": "other", "position": "8", "beam_obs-mine": "9"}

    attributes = _stamped(pubsub.PubsubMessage(b"late", of_upstream), True).attributes

    assert (attributes["beam_obs-run"], attributes["beam_obs-position"]) == ("r", "1024")
    assert (attributes["position"], attributes["beam_obs-mine"]) == ("8", "9")
    write = obs.WriteToPubSub("projects/test-project/topics/delays", with_attributes=True)
    unknown = write._attempt(None, Attributes(RunContext("p", "r", "c")))(
        pubsub.PubsubMessage(b"", of_upstream)
    )
    assert "beam_obs-position" not in unknown.attributes


def test_a_message_that_is_full_is_published_as_it_is() -> None:
    attributes = {str(number): "" for number in range(98)}

    assert _stamped(pubsub.PubsubMessage(b"late", attributes), True).attributes == attributes


def test_what_cannot_be_published_is_refused_still() -> None:
    with pytest.raises(TypeError, match="a message is bytes"):
        _stamped(7)
