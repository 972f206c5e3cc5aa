"""`beam-obs exporter` sends the numbers of a store, and says what is wrong before it begins."""

from __future__ import annotations

import pathlib
import shutil
import socket

import pytest
from click.testing import CliRunner, Result

from beam_obs.cli import exporter
from beam_obs.cli.main import beam_obs as command_line
from beam_obs.cli.main import exit_code
from tests.engines.object_stores import free_port
from tests.exporters.small_runs import run_small, scrape, series, values


def export(*arguments: str) -> Result:
    return CliRunner().invoke(command_line, ["exporter", *arguments])


def test_once_writes_what_there_is_and_ends(tmp_path: pathlib.Path) -> None:
    run_small(tmp_path / "store")
    folder = tmp_path / "texts"
    folder.mkdir()
    done = export("--store", str(tmp_path / "store"), "--textfile", str(folder), "--once")
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'store'} to textfile: 1 pipeline\n")
    found = values((folder / "beam_obs_small.prom").read_text())
    assert found[series("beam_obs_records_in_total", pipeline="small", stage="parse")] == 3


@pytest.mark.parametrize("is_option", [True, False])
def test_a_folder_of_texts_that_is_not_there_is_refused(
    is_option: bool,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "store").mkdir()
    if not is_option:
        (tmp_path / "beam_obs.toml").write_text('[exporters]\ntextfile = "node_exportr"\n')
    asked = ["--textfile", "node_exportr"] if is_option else []
    assert exit_code(["exporter", "--store", "store", "--once", *asked]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "there is no folder node_exportr" in told
    assert "make it where it is meant" in told
    assert not (tmp_path / "node_exportr").exists()


def test_it_goes_on_with_what_is_new_and_says_a_store_that_is_away_once(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store, port = tmp_path / "store", free_port()
    status = series("beam_obs_run_status", pipeline="small", status="done")
    seen = []

    def pause(seconds: int) -> None:
        looks = len(seen)
        code, _, text = scrape(port)
        seen.append((code, seconds, values(text).get(status) if code == 200 else None))
        if looks == 0:
            run_small(store)
        elif looks == 1:
            shutil.move(store, tmp_path / "away")
        elif looks == 3:
            shutil.move(tmp_path / "away", store)
        elif looks == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(exporter, "_pause", pause)
    run_small(store, name="other")
    done = export("--store", str(store), "--prometheus-port", str(port), "--every", "2m")
    assert done.exit_code == 0
    assert seen == [(200, 120, None), (200, 120, 1), (503, 120, None), (503, 120, None), (200, 120, 1)]
    said = [text for text in caplog.messages if "the store" in text]
    assert [text.partition(":")[0].partition(",")[0] for text in said] == [
        "the store cannot be read",
        "the store can be read again",
    ]


def test_targets_come_from_the_file_where_no_option_names_any(tmp_path: pathlib.Path) -> None:
    run_small(tmp_path / "store")
    (tmp_path / "texts").mkdir()
    pathlib.Path("beam_obs.toml").write_text(f'[exporters]\ntextfile = "{tmp_path / "texts"}"\n')
    assert export("--store", str(tmp_path / "store"), "--once").exit_code == 0
    assert (tmp_path / "texts" / "beam_obs_small.prom").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say where numbers are to be sent, e.g. --prometheus-port 9464"),
        (["--prometheus-port", "x"], "expected a port or HOST:PORT"),
        (["--pushgateway", "localhost"], "expected an address"),
        (["--textfile", "texts", "--every", "often"], "expected a number and a unit"),
        (["--textfile", "texts", "--every", "0s"], "expected at least 1s"),
    ],
)
def test_wrong_usage_is_said(tmp_path: pathlib.Path, arguments: list[str], said: str) -> None:
    done = export("--store", str(tmp_path), *arguments)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())


def test_what_cannot_begin_is_one_message(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["exporter", "--store", str(tmp_path), "--textfile", str(tmp_path), "--once"]) == 1
    assert "no store at" in capsys.readouterr().err
    run_small(tmp_path / "store")
    store = ["--store", str(tmp_path / "store")]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert exit_code(["exporter", *store, "--prometheus-port", port, "--once"]) == 1
    assert f"127.0.0.1:{port} cannot be listened on: Address already in use" in capsys.readouterr().err
    assert exit_code(["exporter", *store, "--textfile", str(tmp_path), "--job", "latest"]) == 1
    assert "cannot be watched: it is done, not submitted" in capsys.readouterr().err


@pytest.mark.slow
def test_what_is_not_sent_fails_a_single_round(tmp_path: pathlib.Path) -> None:
    run_small(tmp_path / "store")
    done = export("--store", str(tmp_path / "store"), "--pushgateway", "http://127.0.0.1:1", "--once")
    assert done.exit_code == 1
