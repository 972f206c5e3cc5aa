"""Files for node_exporter: whole at any time, and a failed run does not erase when the last one succeeded."""

from __future__ import annotations

import pathlib

import pytest

from tests.exporters.small_runs import run_small, series, values


def test_a_file_of_each_pipeline_and_the_last_success_beside_it(tmp_path: pathlib.Path) -> None:
    folder, store = tmp_path / "texts", tmp_path / "store"
    record = run_small(store, f"--obs_textfile={folder}")
    assert sorted(path.name for path in folder.iterdir()) == [
        "beam_obs_small.last_success.prom",
        "beam_obs_small.prom",
    ]
    found = values((folder / "beam_obs_small.prom").read_text())
    assert found[series("beam_obs_records_in_total", pipeline="small", stage="parse")] == 3
    assert found[series("beam_obs_run_status", pipeline="small", status="done")] == 1
    success = series("beam_obs_run_last_success_timestamp_seconds", pipeline="small")
    assert success not in found
    when = values((folder / "beam_obs_small.last_success.prom").read_text())[success]

    with pytest.raises(Exception, match="refused"):
        run_small(store, f"--obs_textfile={folder}", "--obs_max_dead_rate=0.1", "--obs_max_dead_minimum=1")
    found = values((folder / "beam_obs_small.prom").read_text())
    assert found[series("beam_obs_run_status", pipeline="small", status="failed")] == 1
    assert values((folder / "beam_obs_small.last_success.prom").read_text())[success] == when
    assert record.status == "done"


def test_a_folder_that_cannot_be_written_stops_no_run(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    record = run_small(tmp_path / "store", f"--obs_textfile={tmp_path / 'file' / 'folder'}")
    assert record.status == "done"
    assert "cannot be reached, and is tried again: NotADirectoryError" in caplog.text
