"""Evidence files and the manifests that commit them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.dead_letters.evidence_writer import (
    CommitEvidence,
    GatherEvidence,
    WriteEvidence,
    slug,
    write_whole,
)
from beam_obs.records.ledger_rows import PointSums, manifest_of, row_of
from beam_obs.records.manifest import FILE_BYTES, FILE_DIGEST, Manifest, content_hash
from beam_obs.records.origin_sums import OriginSums
from beam_obs.store.evidence import read_evidence, summarize_ledger
from beam_obs.store.store import Store


class Lines:
    def __init__(self, file: Any) -> None:
        self._file = file
        self._count = 0

    def write(self, row: str) -> None:
        self._file.write(row.encode() + b"\n")
        self._count += 1

    def close(self) -> Manifest:
        return Manifest("outputs", "s", "", self._count)

    def index(self) -> bytes:
        return b""


def write_and_commit(rows: Any, folder: Path) -> None:
    writer = WriteEvidence(Lines, str(folder), "rows", ".txt")
    manifests = rows | "Write rows" >> beam.ParDo(writer).with_output_types(str)
    _ = manifests | CommitEvidence(str(folder))


def committed(folder: Path) -> list[Manifest]:
    return [
        Manifest(**manifest)
        for path in folder.glob("manifest-*.json")
        for manifest in json.loads(path.read_text())["manifests"]
    ]


def test_every_bundle_has_a_file_and_a_manifest(tmp_path: Path) -> None:
    with beam.Pipeline("FnApiRunner") as p:
        write_and_commit(p | beam.Create(["a", "b", "c"]), tmp_path)
    manifests = committed(tmp_path)
    assert sum(manifest.count for manifest in manifests) == 3
    rows = [row for one in manifests for row in (tmp_path / one.file).read_text().split()]
    assert sorted(rows) == ["a", "b", "c"]
    assert not list(tmp_path.glob(".partial-*"))


def test_a_manifest_tells_the_length_and_a_digest_of_its_file(tmp_path: Path) -> None:
    with beam.Pipeline("FnApiRunner") as p:
        write_and_commit(p | beam.Create(["a", "b"]), tmp_path)
    for manifest in committed(tmp_path):
        content = (tmp_path / manifest.file).read_bytes()
        assert manifest.details[FILE_BYTES] == len(content)
        assert manifest.details[FILE_DIGEST] == content_hash(content).hexdigest()


def test_what_is_gathered_is_written_by_the_writer_of_its_key(tmp_path: Path) -> None:
    writers = {
        name.encode(): WriteEvidence(Lines, str(tmp_path), name, ".txt") for name in ("one", "two", "none")
    }
    with beam.Pipeline("FnApiRunner") as p:
        one = p | "of one" >> beam.Create([(b"one", "a"), (b"one", "b")])
        two = p | "of two" >> beam.Create([(b"two", "c")])
        _ = (one, two) | GatherEvidence(writers) | CommitEvidence(str(tmp_path))
    rows = {
        one.file.partition("-")[0]: (tmp_path / one.file).read_text().split() for one in committed(tmp_path)
    }
    assert rows == {"one": ["a", "b"], "two": ["c"]}


def test_no_rows_make_no_file(tmp_path: Path) -> None:
    with beam.Pipeline("FnApiRunner") as p:
        write_and_commit(p | beam.Create([]), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_bundle_that_fails_leaves_no_file_with_a_last_name(tmp_path: Path) -> None:
    class FailAfter(beam.DoFn):
        def process(self, row: str) -> Any:
            yield row
            if row == "b":
                raise ValueError("in the bundle")

    def build() -> None:
        with beam.Pipeline("FnApiRunner") as p:
            write_and_commit(p | beam.Create(["a", "b"]) | beam.ParDo(FailAfter()), tmp_path)

    with pytest.raises(ValueError, match="in the bundle"):
        build()
    assert not list(tmp_path.glob("rows-*"))
    assert not committed(tmp_path)


def test_manifests_of_several_windowings_are_committed_together(tmp_path: Path) -> None:
    with beam.Pipeline("FnApiRunner") as p:
        text = Manifest("outputs", "s", "f", 1).to_json()
        plain = p | "one" >> beam.Create([text])
        windowed = p | "two" >> beam.Create([text]) | beam.WindowInto(beam.window.FixedWindows(5))
        _ = (plain, windowed) | CommitEvidence(str(tmp_path))
    assert [manifest.file for manifest in committed(tmp_path)] == ["f", "f"]


def test_the_same_manifests_make_the_same_file(tmp_path: Path) -> None:
    texts = [Manifest("outputs", "s", name, 1).to_json() for name in "abc"]
    for order in (texts, texts[::-1]):
        with beam.Pipeline("FnApiRunner") as p:
            _ = p | beam.Create(order) | CommitEvidence(str(tmp_path))
    assert len(list(tmp_path.glob("manifest-*.json"))) == 1


def test_a_file_is_seen_whole_or_not_at_all(tmp_path: Path) -> None:
    write_whole(str(tmp_path / "f"), b"first")
    write_whole(str(tmp_path / "f"), b"second")
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert (tmp_path / "f").read_bytes() == b"second"


@given(st.text())
def test_a_slug_is_a_part_of_a_file_name_everywhere(label: str) -> None:
    found = slug(label)
    assert 0 < len(found) <= 100
    assert found.isascii()
    assert not set(found) & set('/\\:*?"<>| \0')
    assert slug(label) == found


def ledger_manifest(number: int) -> str:
    """Returns the manifest of a bundle in which some elements passed a point of the ledger."""
    sums, one = PointSums(), OriginSums()
    one.add([at.to_bytes(16, "big") for at in range(number)])
    sums.add_row(row_of([(1, one.encode())]))
    return manifest_of(sums).to_json()


def test_sums_of_the_ledger_that_are_committed_again_with_others_count_once(tmp_path: Path) -> None:
    """A bundle that commits a stream's manifests and is tried again may get more of them."""
    first = [ledger_manifest(3), ledger_manifest(4)]
    for tried in (first, [*first, ledger_manifest(5)]):
        with beam.Pipeline("FnApiRunner") as p:
            _ = p | beam.Create(tried) | CommitEvidence(str(tmp_path))
    assert summarize_ledger(read_evidence(Store(str(tmp_path)), "")).of((1,)).count == 12
