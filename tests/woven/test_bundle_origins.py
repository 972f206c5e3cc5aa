"""What a DoFn gives that may hold elements back comes from its bundle so far, at a cost for each element."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.transforms import window
from apache_beam.utils.windowed_value import WindowedValue
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.records.lineage_rows import BUNDLE, partitions_by_code, read_derivation
from beam_obs.records.origin import Partition
from beam_obs.woven import bundle_origins
from beam_obs.woven.bundle_origins import BundleOrigins
from tests.weaving.provenance import made, read_derivations, run_woven

SOURCE = Partition("a.csv", "1")
MOST = 1 + 1 / 16


class CountsBundle(beam.DoFn):
    """Gives each element on, and their number when the bundle ends."""

    def start_bundle(self) -> None:
        self._seen = 0

    def process(self, number: int) -> Iterator[tuple[str, int]]:
        self._seen += 1
        yield "element", self._seen

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield WindowedValue(("all", self._seen), 0, [window.GlobalWindow()])


class CountsWindows(CountsBundle):
    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield WindowedValue(("all", self._seen), 3, [window.IntervalWindow(0, 10)])


def contributors(rows: list[bytes]) -> dict[bytes, frozenset[bytes]]:
    found = [read_derivation(row, "step", partitions_by_code([SOURCE])) for row in rows]
    assert {row.kind for row in found} <= {BUNDLE}
    return {row.child: frozenset(row.contributors) for row in found}


@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_an_origin_stands_for_all_before_it_and_few_behind(asked: list[bool]) -> None:
    bundle = BundleOrigins("step", limit=None)
    given_at: dict[int, bytes] = {}
    for at, is_asked in enumerate(asked):
        bundle.take(SOURCE.origin(at))
        if is_asked:
            given_at[at + 1] = bundle.origin()
    bundle.finish()
    last = bundle.origin()
    made_of = contributors(bundle.rows())

    def of(origin: bytes) -> frozenset[bytes]:
        return made_of.get(origin, frozenset([origin]))

    everything = [SOURCE.origin(at) for at in range(len(asked))]
    assert of(last) == frozenset(everything)
    for taken, origin in given_at.items():
        assert of(origin) >= frozenset(everything[:taken])
        assert of(origin) <= frozenset(everything[: max(taken, int(taken * MOST))])


def test_the_work_grows_with_the_number_of_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    work = 0
    gather = bundle_origins.gather

    def counting(provenances: Any, limit: Any = 1024) -> Any:
        nonlocal work
        held = list(provenances)
        work += sum(max(1, len(provenance) // 16) for provenance in held)
        return gather(held, limit)

    def of(elements: int) -> tuple[int, int]:
        nonlocal work
        work = 0
        bundle = BundleOrigins("step", limit=1024)
        for at in range(elements):
            bundle.take(SOURCE.origin(at))
            bundle.origin()
        return work, sum(map(len, bundle.rows()))

    monkeypatch.setattr(bundle_origins, "gather", counting)

    (few, of_few), (many, of_many) = of(4_000), of(64_000)

    assert many < 16 * few
    assert of_many < 16 * of_few
    assert many < 10 * 64_000


@pytest.mark.parametrize("runner", ["fn_api", "bundles", "retried"])
def test_outputs_of_process_and_of_the_end_lead_back_to_the_bundle(
    runner: str, tmp_path: pathlib.Path
) -> None:
    ran = run_woven(
        lambda pipeline: (
            pipeline
            | "make" >> beam.Create(range(200), reshuffle=False)
            | "count" >> beam.ParDo(CountsBundle())
        ),
        str(tmp_path),
        runner,
    )

    bundles = [seen for (what, seen), _ in ran.outputs if what == "all"]
    assert sum(bundles) == 200
    everything = frozenset(made("make", at) for at in range(200))
    for (what, seen), origin in ran.outputs:
        sources = ran.sources_of(origin)
        assert sources <= everything
        if what == "all":
            assert len(sources) == seen
        else:
            assert seen <= len(sources) <= max(seen, seen * MOST)


def test_a_bundle_of_windows_keeps_its_rows(tmp_path: pathlib.Path) -> None:
    ran = run_woven(
        lambda pipeline: (
            pipeline
            | "make" >> beam.Create(range(3), reshuffle=False)
            | "stamp" >> beam.Map(lambda number: window.TimestampedValue(number, 3))
            | "windows" >> beam.WindowInto(window.FixedWindows(10))
            | "count" >> beam.ParDo(CountsWindows())
            | "globally" >> beam.WindowInto(window.GlobalWindows())
        ),
        str(tmp_path),
    )

    (origin,) = [origin for (what, _), origin in ran.outputs if what == "all"]
    assert ran.sources_of(origin) == {made("make", at) for at in range(3)}


def test_the_rows_of_a_bundle_are_few(tmp_path: pathlib.Path) -> None:
    ran = run_woven(
        lambda pipeline: (
            pipeline
            | "make" >> beam.Create(range(3000), reshuffle=False)
            | "count" >> beam.ParDo(CountsBundle())
        ),
        str(tmp_path),
        limit=64,
    )

    rows = list(read_derivations(str(tmp_path), [Partition("make", "")]))
    assert len(ran.outputs) == 3001
    assert len(rows) < 150
    assert max(len(row.contributors) for row in rows) == 64
