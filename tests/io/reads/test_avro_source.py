from __future__ import annotations

import dataclasses
import gzip
import io
import json
import pathlib
import uuid
from typing import Any, NamedTuple

import apache_beam as beam
import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import beam_obs as obs
from beam_obs.files.found_files import NoFilesFound
from beam_obs.records.block_position import block_position
from beam_obs.records.origin import Partition
from tests.io.pipelines import RUNNER, Keeper, counters, run_read, run_with_dead_letters
from tests.io.splitting import check_ranges, found, read_split, read_whole, reader_of

SCHEMA = {
    "type": "record",
    "name": "Delay",
    "fields": [{"name": "carrier", "type": "string"}, {"name": "minutes", "type": ["null", "int"]}],
}
SYNC = b"0123456789abcdef"


class Delay(NamedTuple):
    carrier: str
    minutes: int


@dataclasses.dataclass
class StampedDelay:
    carrier: str
    minutes: int | None
    _lineage: dict[str, Any] | None = None


def _avro(records: list[Any], codec: str = "null", per_block: int = 3, schema: Any = SCHEMA) -> bytes:
    """An Avro file of blocks of so many records, with a sync marker that is easy to see."""
    file = io.BytesIO()
    writer = fastavro.write.Writer(file, schema, codec=codec, sync_marker=SYNC)
    for number, record in enumerate(records):
        writer.write(record)
        if number % per_block == per_block - 1:
            writer.dump()
    writer.flush()
    return file.getvalue()


def _delays(count: int) -> list[dict[str, Any]]:
    return [{"carrier": f"carrier {number}", "minutes": number} for number in range(count)]


def _starts(content: bytes) -> list[int]:
    """Offsets of the blocks of a file."""
    starts, at = [], 0
    while (at := content.find(SYNC, at)) >= 0:
        at += len(SYNC)
        starts.append(at)
    return starts[:-1]


def _file(content: bytes, name: str = "in.avro") -> str:
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
def test_records_are_those_that_beam_reads(codec: str) -> None:
    path = _file(_avro(_delays(50), codec))

    ours = run_read(obs.ReadFromAvro(path))

    assert ours == run_read(beam.io.ReadFromAvro(path)) == _delays(50)


def test_rows_are_those_that_beam_reads() -> None:
    path = _file(_avro(_delays(5)))

    ours = run_read(obs.ReadFromAvro(path, as_rows=True))

    assert [tuple(row) for row in ours] == [
        tuple(row) for row in run_read(beam.io.ReadFromAvro(path, as_rows=True))
    ]
    assert ours[1].carrier == "carrier 1"


def test_a_file_of_many_blocks_and_a_block_of_many_records_are_read() -> None:
    _file(_avro(_delays(5000), "deflate", per_block=1), "in/many.avro")
    _file(_avro(_delays(5000), "deflate", per_block=5000), "in/large.avro")

    minutes = sorted(
        record["minutes"] for record in run_read(obs.ReadFromAvro("in/*", desired_bundle_size=3000))
    )

    assert minutes == sorted(2 * list(range(5000)))


def test_values_that_are_no_records_are_read() -> None:
    path = _file(_avro(["a", "b"], schema="string"))

    assert run_read(obs.ReadFromAvro(path)) == ["a", "b"]
    stamped = run_read(obs.ReadFromAvro(path, stamp=True))
    assert [record["record"] for record in stamped] == ["a", "b"]


def test_a_position_is_the_block_and_the_place_in_it() -> None:
    content = _avro(_delays(5), per_block=2)
    path = _file(content)

    records = run_read(obs.ReadFromAvro(path, stamp=True))

    starts = _starts(content)
    places = [block_position(record["_lineage"]["position"]) for record in records]
    assert places == [(starts[0], 0), (starts[0], 1), (starts[1], 0), (starts[1], 1), (starts[2], 0)]
    partition = Partition("in.avro", records[0]["_lineage"]["source_version"], wide=True)
    origin = bytes.fromhex(records[3]["_lineage"]["origin"])
    assert partition.position_of(origin, len(content) << 24) == records[3]["_lineage"]["position"]
    assert (
        run_read(obs.ReadFromAvro(path, record=StampedDelay, stamp=True))[2]._lineage["position"]
        == (records[2]["_lineage"]["position"])
    )


def test_a_damaged_block_is_a_dead_letter_and_the_others_are_read() -> None:
    content = _avro(_delays(9), "deflate")
    starts = _starts(content)
    damaged = bytearray(content)
    damaged[starts[1] + 6 : starts[1] + 12] = b"\xff" * 6
    path = _file(bytes(damaged))

    records, dead = run_with_dead_letters(obs.ReadFromAvro(path))

    assert [record["minutes"] for record in records] == [0, 1, 2, 6, 7, 8]
    assert [block_position(letter.position) for letter in dead] == [(starts[1], 0)]
    assert dead[0].payload == bytes(damaged[starts[1] : starts[2] - len(SYNC)])
    assert "record 0 of the 3 in the block cannot be read" in dead[0].error_message


def test_records_before_the_damage_in_a_block_are_read() -> None:
    content = _avro(_delays(9))
    starts = _starts(content)
    damaged = bytearray(content)
    place = content.index(b"carrier 4") - 1
    damaged[place] = 0x7F  # the length of the text
    path = _file(bytes(damaged))

    records, dead = run_with_dead_letters(obs.ReadFromAvro(path))

    assert [record["minutes"] for record in records] == [0, 1, 2, 3, 6, 7, 8]
    assert [block_position(letter.position) for letter in dead] == [(starts[1], 1)]
    assert dead[0].error_type.endswith("CorruptBlock")


def test_a_text_that_is_no_utf_8_costs_its_record_alone() -> None:
    content = _avro(_delays(9))
    starts = _starts(content)
    damaged = content.replace(b"carrier 4", b"\xffarrier 4")

    records, dead = run_with_dead_letters(obs.ReadFromAvro(_file(damaged)))

    assert [record["minutes"] for record in records] == [0, 1, 2, 3, 5, 6, 7, 8]
    assert [block_position(letter.position) for letter in dead] == [(starts[1], 1)]


def test_a_value_that_is_none_of_its_logical_type_costs_its_record_alone() -> None:
    fields = [
        {"name": "n", "type": "int"},
        {"name": "id", "type": ["null", {"type": "string", "logicalType": "uuid"}]},
        {"name": "day", "type": {"type": "array", "items": {"type": "int", "logicalType": "date"}}},
    ]
    schema = {"type": "record", "name": "Event", "fields": fields}
    good = str(uuid.UUID(int=7))
    rows = [{"n": number, "id": None, "day": [number]} for number in range(1800)]
    rows[3]["id"] = good
    rows[1001]["id"] = "n/a"
    rows[1500]["day"] = [1, 2**31 - 1]
    path = _file(_avro(rows, "deflate", per_block=1800, schema=schema))

    records, dead = run_with_dead_letters(obs.ReadFromAvro(path, stamp=True))

    assert [record["n"] for record in records] == [n for n in range(1800) if n not in (1001, 1500)]
    assert [block_position(record["_lineage"]["position"]).record for record in records] == [
        record["n"] for record in records
    ]
    assert records[3]["id"] == uuid.UUID(int=7)
    assert [block_position(letter.position).record for letter in dead] == [1001, 1500]
    assert "badly formed hexadecimal UUID string" in dead[0].error_message
    assert '"id": "n/a"' in dead[0].payload_text


@pytest.mark.parametrize("compress", [False, True])
def test_a_damaged_sync_marker_costs_the_blocks_on_both_sides(compress: bool) -> None:
    content = _avro(_delays(12))
    starts = _starts(content)
    damaged = content[: starts[2] - 1] + b"?" + content[starts[2] :]
    path = _file(gzip.compress(damaged), "in.avro.gz") if compress else _file(damaged)

    records, dead = run_with_dead_letters(obs.ReadFromAvro(path))

    assert [record["minutes"] for record in records] == [0, 1, 2, 9, 10, 11]
    assert [block_position(letter.position) for letter in dead] == [(starts[1], 0)]
    assert "the next sync marker comes after" in dead[0].error_message


def test_a_file_that_ends_within_a_block_gives_what_stood_before() -> None:
    content = _avro(_delays(6))
    starts = _starts(content)
    path = _file(content[:-20])

    records, dead = run_with_dead_letters(obs.ReadFromAvro(path))

    assert [record["minutes"] for record in records] == [0, 1, 2]
    assert [block_position(letter.position) for letter in dead] == [(starts[1], 0)]
    assert "the file ends within a block" in dead[0].error_message


def test_a_block_that_says_it_is_huge_is_not_believed() -> None:
    content = _avro(_delays(6))
    starts = _starts(content)
    path = _file(content[: starts[0]] + b"\x06\xfe\xff\xff\xff\xff\xff\x3f" + content[starts[0] + 2 :])

    records, dead = run_with_dead_letters(obs.ReadFromAvro(path))

    assert [record["minutes"] for record in records] == [3, 4, 5]
    assert [block_position(letter.position) for letter in dead] == [(starts[0], 0)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"no avro at all", "it does not begin with Obj and a 1"),
        (b"Obj\x01\x02", "ends within its header"),
        (_avro(_delays(3))[:60], "ends within its header"),
        (_avro(_delays(3)).replace(b'"record"', b'"reckon"'), "the schema in its header cannot be read"),
        (_avro(_delays(3), "deflate").replace(b"deflate", b"deflame"), "codec 'deflame' is not known"),
    ],
)
def test_a_file_without_a_header_is_refused_as_a_whole(content: bytes, message: str) -> None:
    _file(content, "in/bad.avro")
    _file(_avro(_delays(2)), "in/good.avro")

    records, dead = run_with_dead_letters(obs.ReadFromAvro("in/*"))

    assert len(records) == 2
    assert [letter.error_type.rpartition(".")[2] for letter in dead] == ["NotAContainer"]
    assert message in dead[0].error_message
    with pytest.raises(Exception, match=message):
        run_read(obs.ReadFromAvro("in/*", on_bad_file="fail"))


def test_a_codec_that_is_not_installed_names_its_extra() -> None:
    pytest.importorskip("fastavro")
    content = (
        _avro(_delays(3), "deflate")
        .replace(b"deflate", b"lz4")
        .replace(b"\x14avro.codec\x0e", b"\x14avro.codec\x06")
    )
    try:
        import lz4  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("the lz4 package is installed")

    with pytest.raises(Exception, match=r"beam_obs\[avro\]"):
        run_with_dead_letters(obs.ReadFromAvro(_file(content)))


def test_typed_records_refuse_what_does_not_fit() -> None:
    content = _avro([{"carrier": "UA", "minutes": 3}, {"carrier": "AA", "minutes": None}])

    records, dead = run_with_dead_letters(obs.ReadFromAvro(_file(content), record=Delay))

    assert records == [Delay("UA", 3)]
    assert dead[0].error_message == "field 'minutes' is None, expected a whole number"
    assert json.loads(dead[0].payload_text) == {"carrier": "AA", "minutes": None}
    assert block_position(dead[0].position).record == 1


def test_redaction_leaves_named_values_out_and_damaged_blocks_as_a_whole() -> None:
    content = _avro([{"carrier": "Ada Lovelace", "minutes": None}, *_delays(3)])
    path = _file(content[:-20])

    _, dead = run_with_dead_letters(obs.ReadFromAvro(path, record=Delay, redact=["carrier"]))

    assert dead[0].payload_text == '{"carrier": "[redacted]", "minutes": null}'
    assert dead[1].payload_text == "[redacted]"
    assert not any(b"Ada" in letter.payload or b"carrier 2" in letter.payload for letter in dead)


def test_without_a_home_a_damaged_block_fails_the_job() -> None:
    with pytest.raises(Exception, match=r"in\.avro, record 0 of the block at byte \d+: .*CorruptBlock"):
        run_read(obs.ReadFromAvro(_file(_avro(_delays(3))[:-20])))


@pytest.mark.parametrize("pattern", ["none.avro", "none/*.avro"])
@pytest.mark.parametrize("as_rows", [False, True])
def test_a_pattern_that_finds_nothing_fails_when_the_pipeline_is_built(pattern: str, as_rows: bool) -> None:
    with pytest.raises(NoFilesFound, match="no file"):
        _ = beam.Pipeline(RUNNER) | obs.ReadFromAvro(pattern, as_rows=as_rows)


@pytest.mark.parametrize(
    "arguments",
    [{"as_rows": True, "stamp": True}, {"as_rows": True, "record": Delay}, {"record": Delay, "stamp": True}],
)
def test_arguments_that_do_not_fit_together_are_refused(arguments: dict[str, Any]) -> None:
    path = _file(_avro(_delays(1)))

    with pytest.raises(obs.UsageError):
        obs.ReadFromAvro(path, **arguments)


def test_a_run_counts_and_notes_what_it_read() -> None:
    path = _file(_avro(_delays(7))[:-20])
    kept = Keeper()

    with obs.Pipeline(RUNNER, name="counts") as p:
        _ = p | "read" >> obs.ReadFromAvro(path) | beam.Map(kept)

    found_counters = counters(p.result, "read")
    assert (found_counters["in"], found_counters["out"], found_counters["dead"]) == (7, 6, 1)


@settings(deadline=None)
@given(
    st.integers(0, 40),
    st.integers(1, 7),
    st.sampled_from(["null", "deflate"]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4),
    st.lists(st.floats(0, 1), max_size=20),
    st.integers(1, 400),
)
@pytest.mark.slow
def test_any_splits_give_the_same_records_at_the_same_places(
    count: int,
    per_block: int,
    codec: str,
    damage: list[tuple[float, int]],
    fractions: list[float],
    range_bytes: int,
) -> None:
    content = bytearray(_avro(_delays(count), codec, per_block))
    header = content.index(SYNC) + len(SYNC)
    for place, byte in damage:
        if header < len(content):
            content[header + int(place * (len(content) - header - 1))] = byte
    file = found(bytes(content), "split.avro")
    read = obs.ReadFromAvro("split.avro")
    whole, whole_bad, _ = read_whole(reader_of(read), file)

    good, bad, manifests = read_split(reader_of(read), file, range_bytes, fractions)

    def shown(records: list[Any]) -> list[str]:
        return sorted(
            repr(record | {"_lineage": {**record["_lineage"], "stamped_at": ""}}) for record in records
        )

    assert shown(good) == shown(whole)
    assert sorted((one.position, one.payload, one.origin, one.failure) for one in bad) == sorted(
        (one.position, one.payload, one.origin, one.failure) for one in whole_bad
    )
    assert len({record["_lineage"]["position"] for record in good}) == len(good)
    check_ranges(manifests, file.size)
    if not damage:
        assert len(good) == count
        assert not bad
