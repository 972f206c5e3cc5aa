"""Files of a run that are gone, cut or damaged: who needs one says so, and is not `complete`."""

from __future__ import annotations

import json
import pathlib
import shutil

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.lineage import affected, fate, sources, why
from beam_obs.store.store import Store

REFUSED, SUMMED, FILTERED = "in.csv:11", "in.csv:3", "in.csv:5"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with a source, an output and a store of one run."""
    folder = tmp_path_factory.mktemp("whole")
    rows = "".join(f"{i % 5},{i if i % 9 else 'x'}\n" for i in range(300))
    (folder / "in.csv").write_text(f"a,b\n{rows}")
    argv = [f"--obs_store={folder / 'store'}", "--obs_report=off", "--obs_lineage_filtered=all"]
    with obs.Pipeline("FnApiRunner", argv=argv, name="sums") as p:
        (
            p
            | "read" >> obs.ReadFromCsv(str(folder / "in.csv"))
            | "parse" >> obs.Stage(beam.Map(lambda row: (row["a"], int(row["b"]))))
            | "keep" >> obs.Stage(beam.Filter(lambda pair: pair[1] != 3))
            | "sum" >> beam.CombinePerKey(sum)
            | "name" >> beam.MapTuple(lambda key, total: {"k": key, "s": total})
            | "write" >> obs.WriteToJson(str(folder / "out"))
        )
    return folder


@pytest.fixture
def store(whole: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A copy of the store; the working folder is that of the source."""
    monkeypatch.chdir(whole)
    monkeypatch.setenv("BEAM_OBS_STORE", str(tmp_path / "store"))
    shutil.copytree(whole / "store", tmp_path / "store")
    return tmp_path / "store"


def damage(store: pathlib.Path, kind: str, how: str) -> str:
    """Damages the files of a kind; returns the name of one."""
    files = sorted(store.glob(f"runs/sums/*/{kind}*"))
    for file in files:
        content = file.read_bytes()
        if how == "gone":
            file.unlink()
        elif how == "cut":
            file.write_bytes(content[: len(content) // 2])
        elif how == "flipped":
            at = len(content) * 2 // 3
            file.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        else:
            file.unlink()
            file.mkdir()
    return files[0].name


HOW = ["gone", "cut", "flipped", "a folder"]


def test_a_whole_store_answers_completely(store: pathlib.Path) -> None:
    out = "out-00000-of-00001:1"
    answers = [fate(REFUSED), fate(SUMMED), fate(FILTERED), why(out), affected(source="in.csv"), sources()]
    assert {answer.certainty.text for answer in answers} == {"complete"}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", ["dead_letters", "derivations", "outputs", "filtered"])
def test_where_an_element_ended_is_not_told_by_elimination(store: pathlib.Path, kind: str, how: str) -> None:
    name = damage(store, kind, how)
    for line in (REFUSED, SUMMED, FILTERED):
        answer = fate(line)
        assert answer.certainty.is_damaged
        assert name in answer.certainty.reason
        assert answer.into is not None
        assert "elimination" not in answer.into.end


@pytest.mark.parametrize("how", HOW)
def test_why_needs_the_derivations_and_the_partitions(store: pathlib.Path, how: str) -> None:
    damage(store, "outputs", how)
    damage(store, "dead_letters", how)
    assert why("out-00000-of-00001:1").certainty.text == "complete"
    name = damage(store, "derivations", how)
    assert name in why("out-00000-of-00001:1").certainty.reason


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", ["derivations", "outputs", "partitions", "manifest", "end", "start"])
def test_what_a_file_touched_is_not_told_without_the_evidence(
    store: pathlib.Path, kind: str, how: str
) -> None:
    name = damage(store, kind, how)
    answer = affected(source="in.csv")
    assert answer.certainty.is_damaged
    assert name in answer.certainty.reason


@pytest.mark.parametrize("content", [b"{}", b'{"partitions": 7}', b"", b"[" * 100_000])
def test_other_partitions_than_were_written_are_not_believed(store: pathlib.Path, content: bytes) -> None:
    (file,) = store.glob("runs/sums/*/partitions.json")
    file.write_bytes(content)
    answer = sources()
    assert "partitions.json is damaged" in answer.certainty.reason
    assert [one.source for one in answer.partitions] == ["read"]  # its manifests tell it too


@pytest.mark.parametrize("how", HOW)
def test_dead_letters_that_are_lost_are_said(
    store: pathlib.Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = damage(store, "dead_letters", how)
    code = exit_code(["dead-letters", "list", "latest", "--letters", "--limit", "0"])
    printed = capsys.readouterr()
    assert name in printed.err
    assert code == (0 if "parse" in printed.out else 1)
    assert "no such dead letters" not in printed.out


@pytest.mark.parametrize("field", ["status", "steps", "seal"])
def test_an_end_that_was_changed_is_said(store: pathlib.Path, field: str) -> None:
    (file,) = store.glob("runs/sums/*/end.json")
    end = json.loads(file.read_text())
    end[field] = {"status": "done", "steps": [], "seal": "0" * 32}[field]
    file.write_text(json.dumps(end))
    assert "end.json was changed" in why("out-00000-of-00001:1").certainty.reason


def test_a_newer_run_that_cannot_be_read_is_not_overlooked(store: pathlib.Path) -> None:
    (folder,) = store.glob("runs/sums/*")
    newer = folder.with_name("ffffffff-0000-7000-8000-000000000001")
    shutil.copytree(folder, newer)
    (newer / "end.json").write_bytes(b"{")
    (newer / "partitions.json").unlink()
    for manifest in newer.glob("manifest-*"):
        manifest.write_bytes(b"{")
    for answer in (fate(SUMMED), affected(source="in.csv")):
        assert newer.name in answer.certainty.reason
    assert fate(SUMMED, run=folder.name).certainty.text == "complete"
    assert [record.status for record in Store().runs()] == ["damaged", "done"]


def test_evidence_of_before_lengths_were_kept_is_checked_by_its_rows(store: pathlib.Path) -> None:
    (folder,) = store.glob("runs/sums/*")
    contents = [json.loads(file.read_text()) for file in folder.glob("manifest-*")]
    manifests = [manifest for content in contents for manifest in content["manifests"]]
    for file in folder.glob("manifest-*"):
        file.unlink()
    for manifest in manifests:
        for name in ("file_bytes", "file_digest"):
            manifest["details"].pop(name, None)
    (folder / "manifest-1.json").write_text(json.dumps({"manifests": manifests}))
    end = json.loads((folder / "end.json").read_text())
    start = json.loads((folder / "start.json").read_text())
    del end["files"], end["seal"], start["sealed"]
    (folder / "end.json").write_text(json.dumps(end))
    (folder / "start.json").write_text(json.dumps(start))
    assert fate(FILTERED).certainty.text == "complete"
    damage(store, "derivations", "cut")
    assert fate(FILTERED).certainty.is_damaged


def test_a_manifest_that_names_a_file_elsewhere_is_not_followed(store: pathlib.Path) -> None:
    (folder,) = store.glob("runs/sums/*")
    (store / "planted.avro").write_bytes(next(iter(folder.glob("outputs-*.avro"))).read_bytes())
    for file in folder.glob("manifest-*"):
        content = json.loads(file.read_text())
        for manifest in content["manifests"]:
            if manifest["kind"] == "output_index":
                manifest["file"] = "../../../planted.avro"
        file.write_text(json.dumps(content))
    answer = fate(SUMMED)
    assert "its bytes are not those that were written" in answer.certainty.reason
    assert answer.into is not None
    assert not answer.into.written
