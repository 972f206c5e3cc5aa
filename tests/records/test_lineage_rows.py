"""Rows of evidence are a stable format, read by Avro's own readers."""

from __future__ import annotations

import io
from typing import Any

import fastavro
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.records.contributors import UNKNOWN, gather
from beam_obs.records.lineage_rows import (
    AGGREGATE,
    DERIVATION_SCHEMA,
    FILTERED_SCHEMA,
    OUTPUT_SCHEMA,
    Derivation,
    avro_long,
    derivation_row,
    filtered_row,
    output_row,
    partitions_by_code,
    read_derivation,
    read_filtered,
    read_outputs,
)
from beam_obs.records.origin import Partition, derived_origin, unlocated_origin

FILES = [Partition("a.csv", "1"), Partition("b.csv", "1"), Partition("c.avro", "1", wide=True)]
QUEUE = Partition("queue", "", located=False)
CHILD = derived_origin("sum", b"k", b"", 0)

origins = st.one_of(
    st.builds(lambda file, place: file.origin(place), st.sampled_from(FILES), st.integers(0, 2**41)),
    st.builds(lambda content: unlocated_origin(QUEUE, content, 0), st.binary()),
    st.builds(lambda key: derived_origin("count", key, b"", 0), st.binary()),
)
provenances = st.lists(st.one_of(origins, st.just(UNKNOWN)), min_size=1, max_size=40)


@given(
    provenances,
    st.sampled_from([None, 1, 5]),
    st.text(max_size=20),
    st.text(max_size=5),
    st.integers(0, 2**40),
)
def test_a_derivation_is_read_as_it_was_made(
    contributors: list[bytes], limit: int | None, key: str, window: str, pane: int
) -> None:
    found = gather(contributors, limit)
    row = derivation_row(CHILD, AGGREGATE, found, key, window, pane)

    read = read_derivation(row, "sum", partitions_by_code(FILES))

    assert read.contributors == found.origins
    assert read == Derivation(
        CHILD,
        "sum",
        AGGREGATE,
        key,
        window,
        pane,
        found.count,
        found.unknown,
        found.codes,
        found.more_codes,
        found.complete,
        found.origins,
    )
    assert _by_fastavro(row, DERIVATION_SCHEMA)["count"] == found.count


@given(provenances)
def test_what_fastavro_read_of_a_derivation_serves_as_well(contributors: list[bytes]) -> None:
    row = derivation_row(CHILD, AGGREGATE, gather(contributors))
    known = partitions_by_code(FILES)

    assert read_derivation(_by_fastavro(row, DERIVATION_SCHEMA), "sum", known) == read_derivation(
        row, "sum", known
    )


def test_contributors_of_a_partition_that_is_not_known_are_left_as_positions() -> None:
    first, second, _ = FILES
    found = gather([first.origin(7), second.origin(9)])

    read = read_derivation(derivation_row(CHILD, AGGREGATE, found), "sum", {first.code: first})

    assert read.contributors == (first.origin(7),)
    assert read.unresolved == ((second.code, 9),)
    assert read.sources == tuple(sorted((first.code, second.code)))


def test_partitions_that_share_a_code_are_not_told_apart() -> None:
    one = Partition("a", "1")
    other = next(
        Partition(str(at), "") for at in range(100_000) if Partition(str(at), "").code >> 20 == one.code >> 20
    )
    assert partitions_by_code([one, other, one]) == {one.code: one, other.code: other}


def test_a_position_is_found_in_a_row_by_its_bytes() -> None:
    origin = FILES[0].origin(123_456)
    row = derivation_row(CHILD, AGGREGATE, gather([FILES[0].origin(3), origin]))

    assert origin[:4] in row
    assert origin[4:9] in row


def test_a_key_is_kept_to_256_bytes_and_whole_characters() -> None:
    row = derivation_row(CHILD, AGGREGATE, gather([FILES[0].origin(1)] * 2), "é" * 200)

    assert read_derivation(row, "sum", {}).key_text == "é" * 128


@given(st.lists(st.tuples(st.binary(min_size=8, max_size=8), st.one_of(origins, st.just(b"")))))
def test_output_rows_are_24_bytes_each(outputs: list[tuple[bytes, bytes]]) -> None:
    rows = b"".join(output_row(*output) for output in outputs)

    assert len(rows) == 24 * len(outputs)
    assert read_outputs(rows) == outputs
    if outputs:
        assert _by_fastavro(rows, OUTPUT_SCHEMA)["digest"] == outputs[0][0]


@given(st.text(), origins)
def test_a_filtered_row_is_read_as_it_was_made(step: str, origin: bytes) -> None:
    row = filtered_row(step, origin)

    assert read_filtered(row) == (step, origin)
    assert _by_fastavro(row, FILTERED_SCHEMA) == {"step": step, "origin": origin}


@given(st.integers(0, 2**62))
def test_numbers_have_the_form_of_avro(number: int) -> None:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "long", number)

    assert avro_long(number) == out.getvalue()


def _by_fastavro(row: bytes, schema: Any) -> Any:
    return fastavro.schemaless_reader(io.BytesIO(row), schema, None)
