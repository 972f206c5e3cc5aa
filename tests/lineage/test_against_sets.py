"""What is found in evidence, against sets: random lineage, written by the official functions."""

from __future__ import annotations

import collections
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_obs.lineage import (
    COMPLETE,
    SAMPLED,
    FromAggregate,
    FromSource,
    Into,
    affected,
    derivation_search,
    fate,
    why,
)
from beam_obs.lineage.run_evidence import RunEvidence
from beam_obs.records.origin import TOP_BIT, Partition, unlocated_origin
from tests.lineage.evidence import WrittenRun

LIMIT = 6
RUNS = 50
"""How many random runs each is held for: each is written, and asked all that it can be."""

PARTITIONS = [
    Partition("a.csv", "1"),
    Partition("b.csv", "1"),
    Partition("c.avro", "1", wide=True),
    Partition("create", "", located=False),
]


def source_origin(partition: int, position: int) -> bytes:
    one = PARTITIONS[partition]
    return one.origin(position) if one.located else unlocated_origin(one, str(position).encode(), 0)


class Lineage:
    """A random run, and what is true of it."""

    def __init__(self) -> None:
        self.sources: set[bytes] = set()
        self.made_of: dict[bytes, set[bytes]] = {}
        self.counts: dict[bytes, int] = {}
        self.written: dict[bytes, set[str]] = {}

    def sources_of(self, origin: bytes) -> set[bytes]:
        parts = self.made_of.get(origin)
        return {origin} if parts is None else {one for part in parts for one in self.sources_of(part)}

    def aggregates_with(self, origin: bytes) -> set[bytes]:
        return {child for child, parts in self.made_of.items() if origin in parts}

    def sinks_of(self, origin: bytes) -> set[tuple[bytes, str]]:
        found = {(origin, sink) for sink in self.written.get(origin, ())}
        for child in self.aggregates_with(origin):
            found |= self.sinks_of(child)
        return found


@st.composite
def runs(draw: st.DrawFn, limit: int | None) -> tuple[WrittenRun, Lineage]:
    run = WrittenRun(Path(tempfile.mkdtemp()), limit, list(PARTITIONS))
    truth = Lineage()
    # Small positions and such that end alike look for false hits.
    places = st.tuples(
        st.integers(0, len(PARTITIONS) - 1),
        st.one_of(st.integers(0, 40), st.sampled_from([256, 65536, 2**24, 2**39, 2**40 - 1, 2**40 + 3])),
    )
    level = sorted({source_origin(*place) for place in draw(st.lists(places, min_size=1, max_size=25))})
    truth.sources = set(level)
    everything = list(level)
    for depth in range(draw(st.integers(0, 3))):
        made = []
        for number in range(draw(st.integers(1, 4))):
            picked = draw(st.lists(st.sampled_from(everything), min_size=2, max_size=14))
            child = run.aggregate(f"step {depth}", f"key {number}", picked)
            truth.made_of[child] = set(picked)
            truth.counts[child] = len(picked)
            made.append(child)
        everything.extend(made)
    for origin in everything:
        for sink in draw(st.sets(st.sampled_from(["first", "second/Write"]))):
            truth.written.setdefault(origin, set()).add(sink)
            run.write(sink, origin, origin + sink.encode())
    return run, truth


def sources_in(tree: FromSource | FromAggregate) -> set[bytes]:
    if isinstance(tree, FromSource):
        return {tree.origin}
    return {origin for one in tree.contributors for origin in sources_in(one)}


def sinks_in(into: Into) -> set[tuple[bytes, str]]:
    found = {(into.origin, written.sink) for written in into.written}
    return found | {one for aggregate in into.aggregates for one in sinks_in(aggregate)}


def known_origins(truth: Lineage) -> Iterator[bytes]:
    yield from sorted(truth.sources)
    yield from truth.made_of


@settings(deadline=None, max_examples=RUNS)
@given(runs(None))
@pytest.mark.slow
def test_backward_answers_are_the_sets_of_sources(made: tuple[WrittenRun, Lineage]) -> None:
    run, truth = made
    evidence = run.finish()
    for child in truth.made_of:
        answer = why(child.hex(), run=evidence.record.id, store=evidence.store, all_contributors=True)
        assert answer.certainty.kind == COMPLETE
        assert sources_in(answer.made_of[0]) == truth.sources_of(child)


@settings(deadline=None, max_examples=RUNS)
@given(runs(None))
@pytest.mark.slow
def test_forward_answers_are_the_sets_of_sinks(made: tuple[WrittenRun, Lineage]) -> None:
    run, truth = made
    evidence = run.finish()
    for origin in known_origins(truth):
        answer = fate(origin.hex(), run=evidence.record.id, store=evidence.store)
        assert answer.certainty.kind == COMPLETE
        assert answer.into is not None
        assert sinks_in(answer.into) == truth.sinks_of(origin)
        went = bool(truth.written.get(origin) or truth.aggregates_with(origin))
        assert bool(answer.into.end) == (not went)


@pytest.mark.parametrize("many", [0, 1000])
@settings(deadline=None, max_examples=RUNS)
@given(made=runs(LIMIT))
@pytest.mark.slow
def test_of_samples_no_answer_is_wrong_and_none_is_not_recorded(
    many: int, made: tuple[WrittenRun, Lineage]
) -> None:
    run, truth = made
    # There are two ways to the smallest that was kept: for a few aggregates, and for many.
    with mock.patch.object(derivation_search, "_MANY_SAMPLES", many):
        check_samples(run, truth)


def check_samples(run: WrittenRun, truth: Lineage) -> None:
    evidence = run.finish()
    for origin in known_origins(truth):
        named = {one.child for one in evidence.derivations.naming(origin)}
        possible = {one.origin for one in evidence.derivations.samples_for(origin)}
        true = truth.aggregates_with(origin)
        assert named <= true <= named | possible
        assert not named & possible
        answer = fate(origin.hex(), run=evidence.record.id, store=evidence.store)
        assert answer.certainty.kind in (COMPLETE, SAMPLED)
    for child, parts in truth.made_of.items():
        answer = why(child.hex(), run=evidence.record.id, store=evidence.store, all_contributors=True)
        (tree,) = answer.made_of
        assert isinstance(tree, FromAggregate)
        assert {one.origin for one in tree.contributors} <= parts
        assert tree.count == truth.counts[child]
        assert (tree.certainty.kind == COMPLETE) == (len(parts) <= LIMIT)


@pytest.mark.parametrize("limit", [None, LIMIT])
@settings(deadline=None, max_examples=RUNS)
@given(data=st.data())
def test_what_files_touched_are_the_sets_of_outputs(limit: int | None, data: st.DataObject) -> None:
    run, truth = data.draw(runs(limit))
    evidence = run.finish()
    for partition in PARTITIONS[:3]:
        codes = {partition.code, partition.code | TOP_BIT}
        (touched,) = affected(source=f"/nowhere/{partition.name}", store=evidence.store).runs
        expected: collections.Counter[str] = collections.Counter()
        for origin, sinks in truth.written.items():
            if any(int.from_bytes(one[:4], "big") in codes for one in truth.sources_of(origin)):
                expected.update(sinks)
        found = {sink.label: sink.records for sink in touched.sinks}
        if touched.certainty.kind == COMPLETE:
            assert found == expected
        else:
            assert all(number is not None and number <= expected[label] for label, number in found.items())


@settings(deadline=None, max_examples=RUNS)
@given(runs(None))
def test_outputs_are_found_by_their_digest(made: tuple[WrittenRun, Lineage]) -> None:
    from beam_obs.records.record_content import output_digest

    run, truth = made
    evidence = run.finish()
    for origin, sinks in truth.written.items():
        assert {label for label, _ in evidence.outputs_of(origin)} == sinks
        for sink in sinks:
            digest = output_digest(origin + sink.encode())
            assert evidence.origins_of([digest], None) == [(sink, origin)]


@pytest.mark.parametrize("many", [3, 200])
def test_many_aggregates_are_found_as_a_few_are(tmp_path: Path, many: int) -> None:
    run = WrittenRun(tmp_path, partitions=PARTITIONS)
    one = PARTITIONS[0]
    parts = [[one.origin(2 * number), one.origin(2 * number + 1)] for number in range(many)]
    children = [run.aggregate("sum", f"key {number}", part) for number, part in enumerate(parts)]
    found = run.finish().derivations.of_all(children)
    assert [sorted(found[child].contributors) for child in children] == parts


def test_blocks_are_searched_to_their_ends(tmp_path: Path) -> None:
    """Rows of more than a block's bytes, and many blocks."""
    run = WrittenRun(tmp_path, None, PARTITIONS)
    one = PARTITIONS[0]
    children = [
        run.aggregate("sum", f"key {number}", [one.origin(7000 * number + at) for at in range(7000)])
        for number in range(5)
    ]
    evidence: RunEvidence = run.finish()
    for number, child in enumerate(children):
        for at in (0, 1, 3500, 6999):
            assert [row.child for row in evidence.derivations.naming(one.origin(7000 * number + at))] == [
                child
            ]
