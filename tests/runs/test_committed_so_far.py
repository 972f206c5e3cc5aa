"""A look at what a run has committed reads what is new, and tells what a look at all of it would."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import beam_obs as obs
from beam_obs.records.instrument_rows import GAUGE, INSTRUMENTS, SUMMARY, InstrumentRow
from beam_obs.records.ledger_rows import BY_WINDOW, PointSums, manifest_of, row_of
from beam_obs.records.manifest import Commit, Manifest, commit_content, short_hash
from beam_obs.records.origin_sums import OriginSums, total_of
from beam_obs.records.weighted_values import pack_weighted
from beam_obs.records.window_counts import WindowCounts
from beam_obs.records.window_sums import Window, WindowSums
from beam_obs.runs.committed_so_far import Committed, ReadSoFar, read_committed
from beam_obs.runs.live_ledger import KEPT_WINDOWS
from beam_obs.weaving.encoded_rows import open_rows

FOLDER = "runs/stream/0193aaaa-1111-7000-8000-000000000001"
KINDS = st.sampled_from(["ledger", "windows", "dead_letters", GAUGE, SUMMARY])
LOOKS = st.lists(st.lists(st.tuples(KINDS, st.integers(1, 9)), max_size=4), min_size=1, max_size=4)


class Run:
    """The folder of a run in a store of its own."""

    def __init__(self, store: Path) -> None:
        self.store = obs.Store(str(store))
        self.folder = store / FOLDER
        self.folder.mkdir(parents=True)
        self._number = 0

    def commit(self, *manifests: Manifest, commit: Commit | None = None) -> Path:
        """Writes a file of manifests; returns its path."""
        content = commit_content([one.to_json() for one in manifests], commit)
        path = self.folder / f"manifest-{short_hash(content)}.json"
        path.write_bytes(content)
        return path

    def manifest(self, kind: str, number: int) -> Manifest:
        """Returns one that tells a number, as a bundle of its own."""
        self._number += 1
        at, name = self._number, f"{kind}-{self._number}.avro"
        if kind == "ledger":
            return ledger(number)
        if kind == "windows":
            return Manifest("windows", "sum", name, 1, details={"windows": {f"[{number}]": [at, number, 1]}})
        if kind == "dead_letters":
            told = {"count": number, "first": at, "last": at, "error_type": "E"}
            return Manifest(kind, "parse", name, number, details={"fingerprints": {"f": told}})
        row = InstrumentRow(kind, "load", "parse", at * 1_000_000, float(number))
        if kind == SUMMARY:
            sketch = pack_weighted(number, number, [(float(number), 1)])
            row = row._replace(
                series="size", count=1, sketch=sketch, options={"quantiles": [0.5], "window": 3}
            )
        file = io.BytesIO()
        rows = open_rows(INSTRUMENTS, "parse", None, file)
        rows.write(row.to_bytes())
        manifest = rows.close()
        (self.folder / name).write_bytes(file.getvalue())
        return Manifest(INSTRUMENTS, "parse", name, 1, manifest.digest, manifest.details)


def ledger(number: int) -> Manifest:
    """Returns the manifest of a bundle in which some elements passed a point."""
    sums, one = PointSums(), OriginSums()
    one.add([at.to_bytes(16, "big") for at in range(number)])
    sums.add_row(row_of([(1, one.encode())]))
    return manifest_of(sums)


def comparable(committed: Committed) -> Any:
    """Returns what was told as values that can be compared."""
    told = committed.ledger
    ledger = None if told is None else (told.sums.details(), told.commits)
    return committed._replace(ledger=None, kinds=sorted(map(str, committed.kinds))), ledger  # type: ignore[arg-type]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LOOKS)
def test_looks_tell_what_one_look_at_all_tells(
    tmp_path_factory: pytest.TempPathFactory, looks: list[list[tuple[str, int]]]
) -> None:
    run = Run(tmp_path_factory.mktemp("store"))
    read = ReadSoFar(run.store, FOLDER)
    for of_look in looks:
        for kind, number in of_look:
            run.commit(run.manifest(kind, number))
        assert comparable(read.look()) == comparable(read_committed(run.store, FOLDER))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that has committed the row of a bundle."""
    made = Run(tmp_path)
    made.commit(ledger(3))
    return made


def passed(committed: Committed) -> int:
    """Returns how many elements passed the point."""
    assert committed.ledger is not None
    return committed.ledger.sums.of((1,)).count


def test_a_file_is_read_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    look = run.store.files.look
    monkeypatch.setattr(run.store.files, "look", lambda paths: looked.extend(paths) or look(paths))
    read = ReadSoFar(run.store, FOLDER)
    for number in range(3):
        assert passed(read.look()) == 3 + number
        run.commit(ledger(1))
    assert len(looked) == len(set(looked)) == 3


def in_windows(numbers: range, point: int) -> Manifest:
    """Returns the manifest of a bundle of which one element passed a point in each of some windows."""
    sums, known, all_of_them = PointSums(), WindowSums(), OriginSums()
    for number in numbers:
        origin = number.to_bytes(16, "big")
        all_of_them.add([origin])
        known.add(Window(number * 10, number * 10 + 10), total_of([origin]))
    sums.add_row(row_of([(point, all_of_them.encode()), (point | BY_WINDOW, known.encode())]))
    return manifest_of(sums)


def test_a_stream_of_many_windows_keeps_the_latest_and_what_all_come_to(tmp_path: Path) -> None:
    run = Run(tmp_path)
    read = ReadSoFar(run.store, FOLDER)
    for begin in range(0, 3 * KEPT_WINDOWS, 500):
        run.commit(in_windows(range(begin, begin + 500), point=1))
        read.look()
        run.commit(in_windows(range(begin, begin + 500), point=2))
        told = read.look().ledger
        assert told is not None
        kept = list(told.sums.by_window_of((1,)).items())
        assert len(kept) == min(KEPT_WINDOWS, begin + 500)
        assert kept[-1][0].end == 10 * (begin + 500)
        assert told.sums.by_window_of((1,)).whole == told.sums.of((1,)).total
        assert not any(any(total) for _, total in told.sums.by_window_of((1, -2)).items())


def test_of_a_stream_of_many_windows_those_that_lack_something_are_kept(tmp_path: Path) -> None:
    run = Run(tmp_path)
    read = ReadSoFar(run.store, FOLDER)
    for begin in range(0, 3 * KEPT_WINDOWS, 500):
        windows = {f"[{at}.0, {at + 1}.0)": [2, 2 if at else 1, 0] for at in range(begin, begin + 500)}
        run.commit(Manifest("windows", "sum", f"windows-{begin}", 1, details={"windows": windows}))
        kept = read.look().windows["sum"]
    assert kept["[0.0, 1.0)"] == WindowCounts(2, 1)
    assert len(kept) == 1 + KEPT_WINDOWS


def test_a_manifest_that_is_committed_again_counts_once(run: Run) -> None:
    read, manifest = ReadSoFar(run.store, FOLDER), ledger(2)
    run.commit(manifest)
    assert passed(read.look()) == 5
    run.commit(manifest, ledger(1))
    assert passed(read.look()) == 6


def test_what_was_told_before_stays_as_it_was(run: Run) -> None:
    read = ReadSoFar(run.store, FOLDER)
    before = read.look()
    run.commit(ledger(2))
    assert (passed(read.look()), passed(before)) == (5, 3)


def test_what_is_damaged_is_told_until_it_is_mended(run: Run) -> None:
    read = ReadSoFar(run.store, FOLDER)
    read.look()
    path = run.commit(ledger(2))
    content = path.read_bytes()
    path.write_bytes(content[:-2])
    assert read.look().ledger is read.look().ledger is None
    path.write_bytes(content)
    assert passed(read.look()) == 5


def test_sums_that_are_none_are_told_each_time(run: Run) -> None:
    read = ReadSoFar(run.store, FOLDER)
    assert passed(read.look()) == 3
    run.commit(Manifest("ledger", "", "x", 1, details={"sums": {"1": "?"}}))
    assert read.look().ledger is read.look().ledger is None


def test_what_a_step_commits_anew_takes_the_place_of_what_it_had(tmp_path: Path) -> None:
    run = Run(tmp_path)
    read = ReadSoFar(run.store, FOLDER)
    for at in range(1, 4):
        run.commit(ledger(at), commit=Commit("run", "commit", at))
        assert passed(read.look()) == at
