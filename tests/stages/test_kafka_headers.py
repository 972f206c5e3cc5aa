"""Headers of records as Beam's cross-language KafkaIO gives and takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.traces.incoming import INCOMING
from tests.io.pipelines import Keeper, counters

PARENT = b"00-000102030405060708090a0b0c0d0e0f-0001020304050607-00"


@pytest.fixture(autouse=True)
def nothing_came_before() -> Iterator[None]:
    INCOMING.clear()
    yield
    INCOMING.clear()


def record(value: bytes, *headers: tuple[str, bytes]) -> Any:
    """As `ReadFromKafka(with_metadata=True)` gives it."""
    rows = [beam.Row(key=name, value=content) for name, content in headers]
    return beam.Row(topic="trips", partition=0, offset=7, key=b"", value=value, headers=rows)


def enter(one: Any) -> Any:
    return one, obs.continue_trace(one.headers)


def leave(entered: Any) -> dict[str, Any]:
    one, is_continued = entered
    headers = {header.key: header.value for header in obs.trace_headers(one.headers)}
    origin = obs.current_origin()
    return {"value": one.value, "is_continued": is_continued, "headers": headers, "origin": origin}


def left(*records: Any) -> tuple[dict[bytes, dict[str, Any]], Any]:
    found = Keeper()
    p = obs.Pipeline("FnApiRunner", name="kafka")
    entered = p | "read" >> beam.Create(list(records), reshuffle=False) | "enter" >> beam.Map(enter)
    _ = entered | "leave" >> beam.Map(leave) | "keep" >> beam.Map(found)
    result = p.run()
    result.wait_until_finish()
    return {one["value"]: one for one in found.elements}, result


def test_a_record_takes_on_the_trace_that_it_came_with() -> None:
    found, _ = left(record(b"a", ("traceparent", PARENT), ("mine", b"1")), record(b"b", ("mine", b"2")))

    came, began = found[b"a"], found[b"b"]
    assert (came["is_continued"], began["is_continued"]) == (True, False)
    assert came["headers"] == {"traceparent": PARENT, "mine": b"1"}
    assert began["headers"]["mine"] == b"2"
    assert began["headers"]["traceparent"].startswith(f"00-{began['origin'].hex()}-".encode())
    assert came["origin"].hex() not in PARENT.decode()


def test_a_malformed_traceparent_is_ignored_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    found, result = left(record(b"a", ("traceparent", b"torn"), ("tracestate", b"a=b")))

    assert not found[b"a"]["is_continued"]
    assert set(found[b"a"]["headers"]) == {"traceparent"}
    assert found[b"a"]["headers"]["traceparent"] != b"torn"
    assert counters(result, "enter") == {"traceparents_ignored": 1}
    assert exit_code(["show", "kafka@latest"]) == 0
    assert "1 record came with a malformed traceparent, which was ignored" in capsys.readouterr().out


def test_without_lineage_headers_stay_as_they_are() -> None:
    assert obs.trace_headers(record(b"a", ("traceparent", PARENT)).headers) == [
        beam.Row(key="traceparent", value=PARENT)
    ]
    assert not obs.continue_trace([("traceparent", PARENT)])
    assert obs.trace_headers() == []


@pytest.mark.parametrize("wrong", [{"traceparent": PARENT}, [b"traceparent"], [("a", b"1", 2)], 7])
def test_what_is_no_header_is_told(wrong: Any) -> None:
    for function in (obs.continue_trace, obs.trace_headers):
        with pytest.raises(TypeError, match="headers are pairs of name and bytes, or rows"):
            function(wrong)
