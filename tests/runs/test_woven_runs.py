"""A run that asks for lineage is woven, keeps what it found, and gives the same results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

import beam_obs as obs
from beam_obs.weaving.settings import WEAVE_VERSION


def run(folder: Path, *options: str) -> dict[str, Any]:
    with obs.Pipeline("FnApiRunner", PipelineOptions([f"--obs_store={folder}", *options]), name="sums") as p:
        pairs = p | beam.Create(["a1", "a2", "b3", "x"]) | "parse" >> obs.Stage(beam.Map(parse))
        assert_that(pairs | beam.CombinePerKey(sum), equal_to([("a", 3), ("b", 3)]))
    end = obs.Store(str(folder)).find("latest").end
    assert end is not None
    return end


def parse(text: str) -> tuple[str, int]:
    return text[0], int(text[1:])


def test_lineage_is_woven_unless_it_is_turned_off(tmp_path: Path) -> None:
    run(tmp_path / "woven")
    assert list(tmp_path.glob("woven/runs/*/*/derivations-*.avro"))
    end = run(tmp_path / "off", "--obs_lineage=off")
    assert not end.get("lineage")
    assert not list(tmp_path.glob("off/runs/*/*/derivations-*.avro"))


@pytest.mark.parametrize("options", [(), ("--obs_lineage=off",)])
def test_the_start_of_a_run_says_how_it_is_woven(tmp_path: Path, options: tuple[str, ...]) -> None:
    run(tmp_path, *options)
    start = obs.Store(str(tmp_path)).find("latest").start
    assert start["weave_version"] == (None if options else WEAVE_VERSION)


@pytest.mark.parametrize("asked", ["woven", "strict"])
def test_a_woven_run_keeps_its_derivations_and_still_balances(tmp_path: Path, asked: str) -> None:
    end = run(tmp_path, f"--obs_lineage={asked}")
    assert end["lineage"]["opaque"] == {}
    assert end["lineage"]["weave_version"] == WEAVE_VERSION
    assert end["balance"]["holds"]
    assert end["dead_letters"]["count"] == 1
    assert len(list(tmp_path.glob("runs/*/*/derivations-*.avro"))) >= 1


@pytest.mark.parametrize("asked", [["--obs_redact=secret"], ["--obs_payload=none"], []])
def test_keys_of_aggregates_stay_out_of_a_store_that_may_not_have_values(
    tmp_path: Path, asked: list[str]
) -> None:
    run(tmp_path, *asked)
    keys = set()
    for file in tmp_path.glob("runs/*/*/derivations-*.avro"):
        with file.open("rb") as content:
            keys |= {row["key_text"] for row in fastavro.reader(content)}  # type: ignore[index, call-overload]
    assert ("a" in keys) == (not asked)
    assert ("[redacted]" in keys) == bool(asked)


class Opaque:
    """A value whose coder cannot tell its type."""


class OpaqueCoder(beam.coders.Coder):
    def encode(self, value: Opaque) -> bytes:
        return b""

    def decode(self, encoded: bytes) -> Opaque:
        return Opaque()


def test_a_pipeline_that_beam_cannot_read_back_runs_without_lineage_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(beam.coders.registry._coders, Opaque, OpaqueCoder)
    with obs.Pipeline(
        "BundleBasedDirectRunner", PipelineOptions([f"--obs_store={tmp_path}"]), name="opaque"
    ) as p:
        values = p | beam.Create([1, 2]) | beam.Map(lambda _: Opaque()).with_output_types(Opaque)
        assert_that(values | beam.combiners.Count.Globally(), equal_to([2]))
    end = obs.Store(str(tmp_path)).find("latest").end
    assert end is not None
    assert end["status"] == "done"
    assert "Beam cannot read it back" in end["lineage"]["text"]
