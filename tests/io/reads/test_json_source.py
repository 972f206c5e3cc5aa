from __future__ import annotations

import dataclasses
import datetime
import gzip
import json
import pathlib
from typing import Any, NamedTuple

import apache_beam as beam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import beam_obs as obs
from beam_obs.files.found_files import NoFilesFound
from beam_obs.io.reads.json_source import object_in_line
from beam_obs.records.bad_input import DuplicateKey
from beam_obs.records.origin import Partition
from tests.io.pipelines import RUNNER, Keeper, counters, run_read, run_with_dead_letters
from tests.io.splitting import check_ranges, found, read_split, read_whole, reader_of


class Flight(NamedTuple):
    carrier: str
    delay: float | None
    on: datetime.date = datetime.date(2013, 1, 1)


@dataclasses.dataclass
class StampedFlight:
    carrier: str
    _lineage: dict[str, Any] | None = None


def _file(text: str | bytes, name: str = "in.jsonl") -> str:
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


class _Pairs(tuple[Any, ...]):
    """Keys and values of an object, in which a key may be there twice."""


def _written(value: Any, colon: str, is_ascii: bool) -> str:
    """Returns a value as JSON."""
    if isinstance(value, list):
        return f"[{', '.join(_written(item, colon, is_ascii) for item in value)}]"
    if isinstance(value, _Pairs):
        pairs = (
            json.dumps(key, ensure_ascii=is_ascii) + colon + _written(inner, colon, is_ascii)
            for key, inner in value
        )
        return f"{{{', '.join(pairs)}}}"
    return json.dumps(value, ensure_ascii=is_ascii)


def _is_doubled(value: Any) -> bool:
    if isinstance(value, _Pairs):
        keys = [key for key, _ in value]
        return len(set(keys)) < len(keys) or any(_is_doubled(inner) for _, inner in value)
    return isinstance(value, list) and any(map(_is_doubled, value))


def test_objects_are_read_and_blank_lines_left_out() -> None:
    path = _file('\ufeff{"a": 1}\r\n\n  \n {"b": [null, {"c": "\u2028"}]} \n{"d": 1e3}')

    assert run_read(obs.ReadFromJson(path)) == [{"a": 1}, {"b": [None, {"c": "\u2028"}]}, {"d": 1000.0}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"a": ', "not JSON: Expecting value at character 6"),
        (b'{"a": 1} {"a": 2}', "not JSON: Extra data at character 9"),
        (b'{"a": NaN}', "not JSON: it has no form for NaN"),
        (b'{"a": [1e999]}', "not JSON: it has a number beyond what a float holds: 1e999"),
        (b'{"a": -' + b"9" * 400 + b".5}", "not JSON: it has a number beyond what a float holds: -999"),
        (b"[1, 2]", "the line is a list, expected an object"),
        (b"null", "the line is null, expected an object"),
        (b'{"a": "\xff"}', "byte 7 of the line is not utf-8: ff 22 7d (invalid start byte)"),
        (b'{"a": "\\ud800"}', "half of a surrogate pair stands alone: '\\ud800'"),
        (b'{"a": ' + b"[" * 100_000 + b"}", "its values are nested too deep to be read"),
        (b'{"a": ' + b"1" * 5000 + b"}", "it has a number that cannot be read"),
        (b"1,2", "not JSON: Extra data at character 1"),
        (b'{"a":1,"a":2}', "key 'a' is there more than once in an object"),
        (b'{"a": 1, "a" : 1}', "key 'a' is there more than once in an object"),
        (b'{"a": 1, "\\u0061"\t:2}', "key 'a' is there more than once in an object"),
        (b'{"a": [{"b": {"c": 1, "d": 0, "c": null}}]}', "key 'c' is there more than once in an object"),
        (b'{"a": {"b": 1}, "a": {"c": "x : y"}}', "key 'a' is there more than once in an object"),
    ],
)
def test_a_bad_line_is_a_dead_letter_with_its_place(line: bytes, message: str) -> None:
    path = _file(b'{"a": 1}\n' + line + b'\n{"a": 2}\n')

    records, dead = run_with_dead_letters(obs.ReadFromJson(path))

    assert records == [{"a": 1}, {"a": 2}]
    assert [(letter.position, letter.payload) for letter in dead] == [(9, line)]
    assert dead[0].error_message.startswith(message)
    assert dead[0].source_uri == str(pathlib.Path(path).resolve())
    assert bytes.fromhex(dead[0].origin)[4:9] == (9).to_bytes(5, "big")


@pytest.mark.parametrize("text", ['[\n{"a": 1},\n{"a": 2}\n]\n', '[{"a": 1}, {"a": 2}]', '{"a": 1},\n'])
def test_a_file_that_is_one_list_is_told_how_it_becomes_lines(text: str) -> None:
    _, dead = run_with_dead_letters(obs.ReadFromJson(_file(text)))

    assert all(letter.error_message.endswith("jq -c '.[]'") for letter in dead)
    assert dead


@pytest.mark.parametrize("text", ["{\n", '{"a": {\n', '{"a": 1,\n'])
def test_an_object_of_several_lines_is_told_how_it_becomes_one(text: str) -> None:
    _, dead = run_with_dead_letters(obs.ReadFromJson(_file(text)))

    assert [letter.error_message.endswith("jq -c .") for letter in dead] == [True]


@pytest.mark.parametrize("line", ['{"a": 1, "a": 2}', '{"a": {"x": 0}, "a": 2}'])
def test_the_last_value_of_a_key_is_taken_where_that_is_asked_for(line: str) -> None:
    assert run_read(obs.ReadFromJson(_file(line), duplicate_keys="last")) == [{"a": 2}]


def test_what_becomes_of_a_key_that_is_there_twice_is_one_of_two() -> None:
    with pytest.raises(obs.UsageError, match="duplicate_keys='first': give one of 'refuse', 'last'"):
        obs.ReadFromJson(_file("{}"), duplicate_keys="first")


def test_no_value_of_a_key_that_is_there_twice_is_kept_where_it_is_redacted() -> None:
    path = _file('{"name": "Ada", "name": "Lovelace", "id": 1}')

    _, (letter,) = run_with_dead_letters(obs.ReadFromJson(path, redact=["name"]))

    assert letter.error_type == "beam_obs.DuplicateKey"
    assert b"Ada" not in letter.payload
    assert "Ada" not in letter.payload_text + letter.error_message


_pairs = st.recursive(
    st.one_of(st.none(), st.integers(), st.sampled_from(["", ":", '":', " :", "a", '{"a": 1, "a": 2}'])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(st.tuples(st.sampled_from(["a", "b", 'c"', ":", " : "]), inner), max_size=3).map(_Pairs),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "\t:"]), _pairs), max_size=4).map(_Pairs),
    st.sampled_from([":", ": ", " :", "\t: ", " \r: "]),
    st.booleans(),
)
def test_an_object_is_refused_where_any_of_its_objects_has_a_key_twice_and_only_there(
    pairs: _Pairs, colon: str, is_ascii: bool
) -> None:
    line = _written(pairs, colon, is_ascii)

    try:
        parsed = object_in_line(line)
    except DuplicateKey:
        parsed = None

    assert parsed == (None if _is_doubled(pairs) else json.loads(line))
    assert object_in_line(line, unique_keys=False) == json.loads(line)


def test_a_pair_of_surrogates_is_a_letter() -> None:
    path = _file('{"a": "\\ud83d\\ude00"}\n')

    assert run_read(obs.ReadFromJson(path)) == [{"a": "\U0001f600"}]


def test_typed_records_keep_their_types_and_others_are_refused() -> None:
    lines = [
        '{"carrier": "UA", "delay": 11, "on": "2013-01-31", "gate": "B4"}',
        '{"carrier": "AA", "delay": null}',
        '{"carrier": 7, "delay": 1.5}',
        '{"carrier": "B6"}',
        '{"carrier": "B6", "delay": true}',
        '{"carrier": "B6", "delay": 1.0, "on": "yesterday"}',
    ]

    records, dead = run_with_dead_letters(obs.ReadFromJson(_file("\n".join(lines)), record=Flight))

    assert records == [Flight("UA", 11.0, datetime.date(2013, 1, 31)), Flight("AA", None)]
    assert [letter.error_message for letter in dead] == [
        "field 'carrier' is 7, expected text",
        "field 'delay' is absent",
        "field 'delay' is True, expected a number or nothing",
        "field 'on' is 'yesterday', expected a date as 2013-01-31",
    ]
    assert len({letter.fingerprint for letter in dead}) == 3


def test_without_a_home_a_bad_line_fails_the_job() -> None:
    path = _file('{"a": 1}\n{\n')

    with pytest.raises(Exception, match=r"in\.jsonl at byte 9: .*NotJson"):
        run_read(obs.ReadFromJson(path))


def test_stamps_say_where_each_record_stands() -> None:
    path = _file('{"a": 1}\n\n{"a": 2, "_lineage": {"origin": "of an earlier run"}}\n')

    first, second = run_read(obs.ReadFromJson(path, stamp=True))

    assert (first["_lineage"]["position"], second["_lineage"]["position"]) == (0, 10)
    partition = Partition("in.jsonl", first["_lineage"]["source_version"])
    assert second["_lineage"]["origin"] == partition.origin(10).hex()
    stamped = run_read(obs.ReadFromJson(_file('{"carrier": "UA"}\n'), record=StampedFlight, stamp=True))
    assert stamped[0]._lineage["position"] == 0


def test_a_record_without_room_for_a_stamp_is_refused_when_the_pipeline_is_built() -> None:
    with pytest.raises(obs.UsageError, match="has no room for lineage attributes"):
        obs.ReadFromJson("in.jsonl", record=Flight, stamp=True)


def test_compressed_files_and_patterns_are_read() -> None:
    _file(gzip.compress(b'{"a": 1}\n{\n'), "in/one.jsonl.gz")
    _file('{"a": 2}\n', "in/two.jsonl")

    records, dead = run_with_dead_letters(obs.ReadFromJson("in/*"))

    assert sorted(record["a"] for record in records) == [1, 2]
    assert [letter.position for letter in dead] == [9]


@pytest.mark.parametrize("pattern", ["none.jsonl", "none/*.jsonl"])
def test_a_pattern_that_finds_nothing_fails_when_the_pipeline_is_built(pattern: str) -> None:
    with pytest.raises(NoFilesFound, match="no file"):
        _ = beam.Pipeline(RUNNER) | obs.ReadFromJson(pattern)


def test_redaction_leaves_named_values_out_and_what_is_no_object_as_a_whole() -> None:
    path = _file('{"carrier": 42, "delay": "Ada Lovelace"}\n{"carrier": "UA", "delay": "Ada\n')

    _, dead = run_with_dead_letters(obs.ReadFromJson(path, record=Flight, redact=["delay"]))

    assert dead[0].payload_text == '{"carrier": 42, "delay": "[redacted]"}'
    assert dead[0].error_message == "field 'carrier' is 42, expected text"
    assert dead[1].payload_text == "[redacted]"
    assert dead[1].error_message.startswith("[redacted] (Unterminated string")
    assert all(letter.redacted for letter in dead)
    assert not any(b"Ada" in letter.payload or "Ada" in letter.traceback for letter in dead)


def test_a_long_value_is_not_shown_in_part() -> None:
    path = _file(json.dumps({"carrier": "UA", "delay": "secret" * 100}))

    _, dead = run_with_dead_letters(obs.ReadFromJson(path, record=Flight, redact=["delay"]))

    assert dead[0].error_message == "[redacted] (delay)"


def test_a_pipeline_redacts_for_its_reads() -> None:
    path = _file('{"carrier": 42, "delay": "Ada"}\n{"carrier": "UA", "delay": "Ada"}\n')

    with obs.Pipeline(RUNNER, name="redacts", options=_options("--obs_payload=redacted")) as p:
        _ = p | "read" >> obs.ReadFromJson(path, record=Flight)
    run = obs.Store(".beam_obs").runs("redacts")[0]
    from beam_obs.store.evidence import dead_letters

    letters = [letter for letter, _ in dead_letters(obs.Store(".beam_obs"), run)]
    assert len(letters) == 2
    assert not any("Ada" in str(letter) or "42" in letter.payload_text for letter in letters)


def test_a_run_counts_and_notes_what_it_read() -> None:
    path = _file('{"a": 1}\n{\n{"a": 2}\n')
    kept = Keeper()

    with obs.Pipeline(RUNNER, name="counts") as p:
        _ = p | "read" >> obs.ReadFromJson(path) | beam.Map(kept)

    assert counters(p.result, "read") == {"in": 3, "out": 2, "dead": 1}


def _options(*flags: str) -> Any:
    from apache_beam.options.pipeline_options import PipelineOptions

    return PipelineOptions([*flags, "--obs_store=.beam_obs"])


lines = st.lists(
    st.sampled_from(['{"a": 1}', "{", '{"b": "é"}', "", '{"c": [1, 2, {"d": "a longer value"}]}', "7"]),
    min_size=1,
    max_size=30,
)


@settings(deadline=None)
@given(lines, st.booleans(), st.integers(1, 60), st.lists(st.floats(0, 1), max_size=20), st.integers(1, 200))
def test_any_splits_give_the_same_records_at_the_same_places(
    texts: list[str], ends: bool, block_bytes: int, fractions: list[float], range_bytes: int
) -> None:
    file = found(("\n".join(texts) + ("\n" if ends else "")).encode(), "split.jsonl")
    if not file.size:
        return
    read = obs.ReadFromJson("split.jsonl")
    whole, whole_bad, _ = read_whole(reader_of(read), file)

    good, bad, manifests = read_split(reader_of(read, block_bytes), file, range_bytes, fractions)

    def place(record: dict[str, Any]) -> int:
        return record["_lineage"]["position"]

    def bare(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            record | {"_lineage": record["_lineage"] | {"stamped_at": ""}}
            for record in sorted(records, key=place)
        ]

    assert bare(good) == bare(whole)
    assert sorted((one.position, one.payload, one.origin) for one in bad) == [
        (one.position, one.payload, one.origin) for one in whole_bad
    ]
    check_ranges(manifests, file.size)
