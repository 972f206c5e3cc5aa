"""Flights with input, output and store on an object store, and every command on that store."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from apache_beam.io.filesystems import FileSystems

from beam_obs.cli.main import exit_code
from beam_obs.lineage.readable_files import ReadableFiles
from beam_obs.store import objects
from beam_obs.store.evidence import dead_letters
from beam_obs.store.folder import folder_at
from beam_obs.store.letter_states import REPLAYING, LetterStates
from beam_obs.store.store import Store
from beam_obs.web.page import NotThere
from beam_obs.web.pages.record_page import record_at_page, record_page
from beam_obs.web.stored_runs import StoredRuns
from tests import programs
from tests.engines.object_stores import ObjectStore, running_gcs, running_s3
from tests.patience import PATIENCE_SECONDS
from tests.programs import ROOT

pytestmark = pytest.mark.engines

FLIGHTS = ROOT / "pipelines" / "flights" / "data" / "flights-2013-01.csv"

PROGRAM = """
import sys
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from pipelines.flights import batch

bucket, flights, *options = sys.argv[1:]
FileSystems.set_options(PipelineOptions(options))
with open(flights, "rb") as file, FileSystems.create(f"{bucket}/in/flights.csv") as copy:
    copy.write(file.read())
for part in ("first", "second"):
    files = [f"--input={bucket}/in/flights*.csv", f"--output={bucket}/out/{part}"]
    batch.main(["--runner=FnApiRunner", f"--obs_store={bucket}/store", *files, *options])
"""


class Bucket(NamedTuple):
    server: ObjectStore
    folder: pathlib.Path
    report: str

    def command(self, *arguments: str) -> str:
        """What a command prints, in a process of its own, that finds the store by the file of settings."""
        return self.command_in(self.folder, *arguments)

    def command_in(self, folder: pathlib.Path, *arguments: str) -> str:
        return run(folder, self.server, "-m", "beam_obs.cli", *arguments)


def run(folder: pathlib.Path, server: ObjectStore, *arguments: str) -> str:
    done = programs.run([*arguments], cwd=folder, env=environment_of(server), timeout=2 * PATIENCE_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def environment_of(server: ObjectStore) -> dict[str, str]:
    return {**os.environ, **server.environment, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module", params=[running_s3, running_gcs], ids=["s3", "gs"])
def bucket(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """A bucket with two runs of flights in it: 300, of which one is torn."""
    folder = tmp_path_factory.mktemp("bucket")
    header, *rows = FLIGHTS.read_text().splitlines()[:301]
    rows[9] = rows[9][:20]
    (folder / "flights.csv").write_text("\n".join([header, *rows, ""]))
    with request.param() as server:
        (folder / "program.py").write_text(server.preamble + PROGRAM)
        report = run(folder, server, "program.py", server.uri, str(folder / "flights.csv"), *server.options)
        settings = [
            f'{name} = "{value}"' for name, _, value in (one[2:].partition("=") for one in server.options)
        ]
        (folder / "beam_obs.toml").write_text(
            "\n".join([f'store = "{server.uri}/store"', "[filesystem]", *settings])
        )
        yield Bucket(server, folder, report)


@pytest.fixture
def printed(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """What a command prints, within this process."""
    before = FileSystems._pipeline_options
    FileSystems.set_options(None)
    monkeypatch.setattr(objects, "_CLIENTS", {})
    monkeypatch.chdir(bucket.folder)
    monkeypatch.setenv("COLUMNS", "500")  # a long address is not to be folded
    for name, value in bucket.server.environment.items():
        monkeypatch.setenv(name, value)

    def print_it(*arguments: str) -> str:
        capsys.readouterr()
        code = exit_code(list(arguments))
        output, errors = capsys.readouterr()
        assert (code, errors) == (0, "")
        return output

    yield print_it
    FileSystems.set_options(before)


def test_the_report_is_balanced_and_names_the_store(bucket: Bucket) -> None:
    assert bucket.report.count("✓ balanced: every record is accounted for") == 2
    assert f"store  {bucket.server.uri}/store" in bucket.report


def test_every_command_reads_the_store(bucket: Bucket, printed: Callable[..., str]) -> None:
    uri = bucket.server.uri
    assert printed("runs").count("done, 1 dead") == 2
    shown = json.loads(printed("show", "flights@latest", "--json"))
    assert (shown["status"], shown["dead"], shown["end"]["lineage"]["opaque"]) == ("done", 1, {})
    assert "balanced" in printed("show", "latest")
    assert printed("graph", "latest", "--output", "-").startswith("<svg")
    assert f"{uri}/out/second" in printed("diff", "latest~1", "latest")
    assert f"{uri}/in/flights.csv" in printed("sources", "latest")
    assert "TornRow" in printed("dead-letters", "list", "latest")
    assert "recurring" in printed("dead-letters", "list", "--pipeline", "flights")
    letters = printed("dead-letters", "list", "latest", "--letters", "--json").splitlines()
    letter = next(letter for letter in map(json.loads, letters) if "TornRow" in letter["error_type"])
    assert f"{uri}/in/flights.csv" in printed("dead-letters", "show", letter["id"])
    why = printed("why", f"{uri}/out/second-statistics", "--match", "carrier=UA", "--match", "day=2013-01-01")
    assert f"{uri}/in/flights.csv:2 " in why
    assert "verified" in why
    assert "TornRow" in printed("fate", f"{uri}/in/flights.csv:11")
    assert "write statistics" in printed("fate", f"{uri}/in/flights.csv:2")
    assert "write statistics" in printed("affected", "--source", f"{uri}/in/flights.csv")
    assert f"{uri}/store" in printed("config")


@pytest.mark.usefixtures("printed")  # which leads to the server
def test_pages_show_objects_below_a_named_prefix_only(bucket: Bucket) -> None:
    uri = bucket.server.uri
    runs = StoredRuns(Store(f"{uri}/store"))
    shown = record_at_page(runs, {"at": f"{uri}/in/flights.csv:2"}, ReadableFiles([f"{uri}/in"])).values
    assert shown["source"].is_verified
    assert [line.number for line, _ in shown["lines_shown"] if line.is_of_record] == [2]
    for root in (f"{uri}/i", f"{uri}/out", "."):
        with pytest.raises(NotThere, match="not shown: not under --sources"):
            record_at_page(runs, {"at": f"{uri}/in/flights.csv:2"}, ReadableFiles([root]))
        of_origin = record_page(runs, shown["origin"], {}, ReadableFiles([root])).values
        assert (of_origin["source"].state, of_origin["source"].text) == ("not shown", None)


def test_options_of_the_filesystem_may_stand_on_the_command(bucket: Bucket, tmp_path: pathlib.Path) -> None:
    where = ("--store", f"{bucket.server.uri}/store", *bucket.server.options)
    assert "TornRow" in bucket.command_in(tmp_path, "dead-letters", "list", "latest", *where)


def test_the_store_may_stand_in_the_variable(
    bucket: Bucket, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEAM_OBS_STORE", f"{bucket.server.uri}/store")
    assert "done, 1 dead" in bucket.command_in(tmp_path, "runs", *bucket.server.options)


def test_a_bucket_that_there_is_not_is_told(bucket: Bucket) -> None:
    arguments = ["-m", "beam_obs.cli", "runs", "--store", f"{bucket.server.uri}et/store"]
    done = programs.run(arguments, cwd=bucket.folder, env=environment_of(bucket.server))
    assert done.returncode == 1
    assert done.stderr.endswith("/store/runs/: there is no bucket 'bucketet'\n")


@pytest.mark.usefixtures("printed")  # which leads to the server
def test_of_two_replays_at_once_one_has_the_letter(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(f"{bucket.server.uri}/store")
    record = store.find("latest")
    ((letter, _),) = dead_letters(store, record)
    # Both look before either writes: what is there is told by nothing but the write.
    monkeypatch.setattr(type(objects.objects_of(store.uri)), "exists", lambda objects, uri: False)
    one, other = LetterStates(store, record), LetterStates(store, record)
    assert not one.marks(letter)
    assert not other.marks(letter)
    assert one.write(letter, REPLAYING, "a run")
    assert not other.write(letter, REPLAYING, "another run")
    assert [mark.run for mark in LetterStates(store, record).marks(letter)] == ["a run"]
    # A request whose answer was lost is sent again: it has written.
    files = folder_at(f"{store.uri}/again")
    assert [files.write_new("once", content) for content in (b"1", b"1", b"2")] == [True, True, False]
    files.delete("once")


def test_prune_erases_a_record_and_then_removes_runs(bucket: Bucket) -> None:
    """The last, since it takes away what the others read."""
    listing = ("dead-letters", "list", "latest", "--letters", "--json")
    (letter,) = _json_lines(bucket.command(*listing))
    assert "2 dead letters" in bucket.command("prune", "--origin", letter["origin"])
    assert _json_lines(bucket.command(*listing)) == []
    bucket.command("prune", "--older-than", "0s", "--dry-run")
    assert len(_json_lines(bucket.command("runs", "--json"))) == 2
    bucket.command("prune", "--older-than", "0s")
    assert len(_json_lines(bucket.command("runs", "--json"))) == 1


def _json_lines(printed: str) -> list[Any]:
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


def test_a_site_is_written_to_a_bucket_and_replaced_there(
    bucket: Bucket, printed: Callable[..., str]
) -> None:
    site = f"{bucket.server.uri}/site"
    wrote = printed("site", "--output", site, "--sources", bucket.server.uri)
    assert f"{site}/index.html" in wrote
    files = folder_at(site)
    names = {file.path for file in files.listed()}
    assert {"index.html", "search.json", "static/beam_obs.css"} <= names
    assert b"flights" in (files.read("index.html") or b"")
    printed("site", "--output", site, "--last", "1", "--letters", "0")
    fewer = {file.path for file in files.listed()}
    assert fewer < names
    assert len([name for name in fewer if name.startswith("runs/") and name.count("/") == 1]) == 1
