from __future__ import annotations

import datetime
import json
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api

import beam_obs as obs
from beam_obs.io.reads.pubsub_source import MessageSettings, TakeMessages
from beam_obs.records.known_partitions import place_of
from beam_obs.records.message_identity import message_partition
from beam_obs.records.origin import position_of_message
from beam_obs.records.run_context import RunContext
from beam_obs.wrapper.redaction import redaction_of
from beam_obs.wrapper.refusal import DEAD_TAG

pubsub: Any = pytest.importorskip("apache_beam.io.gcp.pubsub", reason="pip install 'beam_obs[gcp]'")
pytest.importorskip("google.cloud.pubsub", reason="pip install 'beam_obs[gcp]'")

PLACE = "projects/city-project/subscriptions/trips"
TIME = datetime.datetime(2026, 11, 29, 4, 5, 6, tzinfo=datetime.timezone.utc)
ORIGIN = message_partition(PLACE).origin(position_of_message("8842"))


def taken(message: Any, **changes: Any) -> Any:
    settings = MessageSettings(
        "trips", RunContext("p", "r", "c"), PLACE, None, False, None, False, True, None
    )
    dofn = TakeMessages(settings._replace(**changes))
    dofn.setup()
    try:
        (result,) = dofn.process(message)
    finally:
        dofn.teardown()
    return result


def message(data: bytes = b'{"fare": 5}', **attributes: str) -> Any:
    return pubsub.PubsubMessage(data, attributes, "8842", TIME)


def test_elements_are_data_messages_or_what_is_decoded() -> None:
    one = message()
    assert taken(one) == b'{"fare": 5}'
    assert taken(one, whole=True) is one
    assert taken(one, decode=json.loads) == {"fare": 5}


def test_what_cannot_be_decoded_is_refused_with_its_place() -> None:
    result = taken(message(b"torn"), decode=json.loads)

    refusal = result.value
    assert result.tag == DEAD_TAG
    assert (refusal.payload, refusal.payload_coder) == (b"torn", "raw")
    assert (refusal.origin, refusal.source_uri) == (ORIGIN.hex(), f"pubsub:{PLACE}")
    assert refusal.failure.error_type == "beam_obs.BadMessage"
    assert refusal.failure.message.startswith(
        "message 8842, published 2026-11-29T04:05:06Z: json.decoder.JSONDecodeError: Expecting value"
    )


def test_refusals_of_one_kind_have_one_fingerprint() -> None:
    first, second = (taken(message(data), decode=json.loads).value for data in (b"torn", b"}"))
    other = taken(message(b"\xff"), decode=bytes.decode).value
    assert first.failure.fingerprint == second.failure.fingerprint != other.failure.fingerprint


def test_what_is_to_stay_out_is_in_no_refusal() -> None:
    refusal = taken(message(b"secret"), decode=int, redaction=redaction_of(["fare"])).value
    assert refusal.redacted
    assert b"secret" not in refusal.payload
    assert "secret" not in "".join((*refusal.failure, refusal.payload_text))


def test_without_a_home_it_fails_and_says_which_message() -> None:
    with pytest.raises(obs.RefusedRecord, match=r"message 8842, published 2026.*ValueError.*'trips'"):
        taken(message(b"torn"), decode=int, keeps_dead_letters=False)


def test_a_message_without_an_id_has_no_origin() -> None:
    assert taken(pubsub.PubsubMessage(b"torn", {}), decode=int).value.origin is None


def test_records_are_stamped() -> None:
    row = taken(message(), decode=json.loads, stamp=True)
    assert row["fare"] == 5
    assert (row["_lineage"]["origin"], row["_lineage"]["source_uri"]) == (ORIGIN.hex(), f"pubsub:{PLACE}")
    attributes = taken(message(kind="a"), whole=True, stamp=True).attributes
    assert (attributes["kind"], attributes["beam_obs-origin"]) == ("a", ORIGIN.hex())


def test_an_attribute_by_which_messages_are_told_apart_makes_the_origin() -> None:
    row = taken(message(trip="7"), decode=json.loads, stamp=True, id_label="trip")
    assert row["_lineage"]["origin"] == message_partition(PLACE).origin(position_of_message("7")).hex()


def test_a_source_is_known_where_its_records_are_asked_for() -> None:
    taken(message())
    assert place_of(ORIGIN, "r").uri == f"pubsub:{PLACE}"


def test_the_runner_reads_what_beams_own_read_would_have_it_read() -> None:
    """Dataflow puts a read of its own in place of this step, by what its payload says."""
    p = beam.Pipeline(options=PipelineOptions(["--streaming"]))
    arguments: dict[str, Any] = {"subscription": PLACE, "id_label": "trip", "timestamp_attribute": "at"}
    _ = p | "ours" >> obs.ReadFromPubSub(**arguments)
    _ = p | "beams" >> beam.io.ReadFromPubSub(**arguments, with_attributes=True)

    reads = {
        node.unique_name.partition("/")[0]: api.PubSubReadPayload.FromString(node.spec.payload)
        for node in p.to_runner_api().components.transforms.values()
        if node.spec.urn == common_urns.composites.PUBSUB_READ.urn
    }
    assert reads["ours"] == reads["beams"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "topic=None, subscription=None: Either a topic or subscription must be provided"),
        ({"topic": "projects/city-project/topics/t", "subscription": PLACE}, "Give one of"),
        ({"topic": "trips"}, r"'projects/<project>/topics/<topic>'"),
        ({"subscription": "trips"}, r"'projects/<project>/subscriptions/<subscription>'"),
        ({"subscription": PLACE, "decode": "json"}, r"decode='json': give a function of the data"),
        ({"subscription": PLACE, "decode": int, "with_attributes": True}, "give one of them"),
        ({"subscription": PLACE, "stamp": True}, "data has no room"),
    ],
)
def test_misuse_is_told_where_the_read_is_made(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(obs.UsageError, match=complaint) as raised:
        obs.ReadFromPubSub(**arguments)
    assert __file__ in str(raised.value)


def test_it_is_applied_to_a_pipeline() -> None:
    with pytest.raises(obs.UsageError, match="is applied to a pipeline"):
        _ = beam.Pipeline() | beam.Create([1]) | "trips" >> obs.ReadFromPubSub(subscription=PLACE)
