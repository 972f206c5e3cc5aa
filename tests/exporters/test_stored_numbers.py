"""The numbers of a store: the newest run of each pipeline, and what only a store knows."""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

import pytest

from beam_obs.exporters import stored_numbers
from beam_obs.exporters.stored_numbers import StoredNumbers
from beam_obs.metrics import own_families as own
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.store.run_record import now_text
from beam_obs.store.schedule import Schedule
from beam_obs.store.store import Store

DONE, FAILED = "done", "failed"


def run_id(number: int) -> str:
    return f"0193aaaa-1111-7000-8000-{number:012d}"


def write_run(store: pathlib.Path, pipeline: str, number: int, status: str | None, **files: Any) -> None:
    folder = store / "runs" / pipeline / run_id(number)
    folder.mkdir(parents=True, exist_ok=True)
    started = f"2026-01-02T03:{number // 60:02d}:{number % 60:02d}.000000Z"
    (folder / "start.json").write_text(json.dumps({"started": started, "runner": "PrismRunner"}))
    if status is not None:
        finished = started.replace("T03", "T04")
        (folder / "end.json").write_text(json.dumps({"status": status, "finished": finished}))
    else:
        (folder / "heartbeat.json").write_text(json.dumps({"at": now_text()}))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


def value(numbers: RunNumbers, name: str, **labels: str) -> float | None:
    family = numbers.family(name)
    return next((one.value for one in family.samples if one.labels == labels), None) if family else None


def status_of(numbers: RunNumbers) -> str:
    family = numbers.family(own.RUN_STATUS)
    assert family is not None
    return ", ".join(one.labels["status"] for one in family.samples if one.value)


@pytest.fixture
def store(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "store"


def test_each_pipeline_has_its_newest_run_and_its_last_success(store: pathlib.Path) -> None:
    for number, status in enumerate((DONE, DONE, FAILED, FAILED)):
        write_run(store, "one", number, status)
    write_run(store, "two", 1, FAILED)
    one, two = StoredNumbers(Store(store)).look()
    assert (one.pipeline, one.run, status_of(one)) == ("one", run_id(3), FAILED)
    assert value(one, own.RUN_LAST_SUCCESS) == 1767326401  # 2026-01-02 04:00:01 UTC
    assert (two.pipeline, status_of(two)) == ("two", FAILED)
    assert two.family(own.RUN_LAST_SUCCESS) is None


def test_only_what_is_new_is_told_again(store: pathlib.Path) -> None:
    write_run(store, "one", 1, DONE)
    write_run(store, "two", 1, None, live={"at": now_text(), "counts_from": "live", "stages": []})
    found = StoredNumbers(Store(store))
    assert [one.pipeline for one in found.look()] == ["one", "two"]
    assert [one.pipeline for one in found.look()] == ["two"]  # it lives
    assert found.look(no_older_than=60) == []
    write_run(store, "one", 2, FAILED)
    (one,) = [numbers for numbers in found.look() if numbers.pipeline == "one"]
    assert (one.run, status_of(one)) == (run_id(2), FAILED)
    assert value(one, own.RUN_LAST_SUCCESS) == 1767326401
    assert [one.pipeline for one in found.all()] == ["one", "two"]


def test_counts_of_a_run_that_lives_are_told_as_they_grow(store: pathlib.Path) -> None:
    stage = {"label": "parse", "kind": "Map", "in": 4, "out": 3, "dead": 1, "filtered": 0, "dropped": 0}
    live = {"at": now_text(), "counts_from": "live", "stages": [stage]}
    write_run(store, "one", 1, None, live=live)
    found = StoredNumbers(Store(store))
    (one,) = found.look()
    assert not one.is_final
    assert status_of(one) == "running"
    (sample,) = one.family(own.RECORDS_IN).samples  # type: ignore[union-attr]
    assert (sample.step, sample.value) == ("parse", 4)
    write_run(store, "one", 1, None, live=live | {"stages": [stage | {"in": 9}]})
    (one,) = found.look()
    (sample,) = one.family(own.RECORDS_IN).samples  # type: ignore[union-attr]
    assert sample.value == 9


def test_a_run_without_its_launcher_is_told_as_what_it_is(store: pathlib.Path) -> None:
    left = {"at": now_text(), "outlives_launcher": True, "left": True, "job_id": "job-7"}
    write_run(store, "submitted", 1, None, heartbeat=left)
    write_run(store, "lost", 1, None, heartbeat=left | {"outlives_launcher": False})
    lost, submitted = StoredNumbers(Store(store)).look()
    assert (status_of(lost), status_of(submitted)) == ("lost", "submitted")
    info = submitted.family(own.RUN_INFO)
    assert info is not None
    assert info.samples[0].labels["job_id"] == "job-7"


def test_a_pipeline_that_is_gone_is_told_no_more_nor_a_run_that_was_removed(store: pathlib.Path) -> None:
    for number in (1, 2):
        write_run(store, "one", number, DONE)
    write_run(store, "two", 1, DONE)
    found = StoredNumbers(Store(store))
    found.look()
    shutil.rmtree(store / "runs" / "two")
    shutil.rmtree(store / "runs" / "one" / run_id(2))
    found.look()
    assert [(one.pipeline, one.run) for one in found.all()] == [("one", run_id(1))]


def test_a_success_is_looked_for_far_back_but_not_for_ever(
    store: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_numbers, "LOOKED_AT", 2)
    monkeypatch.setattr(stored_numbers, "MOST_LOOKED_BACK", 5)
    for number in range(8):
        write_run(store, "within", number, DONE if number == 3 else FAILED)
        write_run(store, "beyond", number, DONE if number == 1 else FAILED)
    beyond, within = StoredNumbers(Store(store)).look()
    assert value(within, own.RUN_LAST_SUCCESS) == 1767326403
    assert beyond.family(own.RUN_LAST_SUCCESS) is None


def test_a_schedule_is_told_also_of_a_pipeline_that_never_ran(store: pathlib.Path) -> None:
    write_run(store, "one", 1, DONE)
    schedules = {name: Schedule(name, "0 6 * * *", takes_at_most_seconds=60.0) for name in ("one", "never")}
    never, one = StoredNumbers(Store(store), schedules).look()
    assert (never.pipeline, never.run, never.is_final) == ("never", "", False)
    assert value(one, own.SCHEDULE_DUE) == 1767333600  # 2026-01-02 06:00:00 UTC
    assert value(one, own.RUN_DURATION_LIMIT) == value(never, own.RUN_DURATION_LIMIT) == 60
