"""The flights pipeline on damaged files, and what a run of it came to, but for times and names of files."""

from __future__ import annotations

import collections
import json
import pathlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import fastavro

import beam_obs as obs
from pipelines.flights import batch
from pipelines.flights.damage import damage
from pipelines.flights.options import flights_options
from pipelines.flights.reference import DATA
from tests.weaving.provenance import read_rows

ROWS = 1000
KINDS = ("derivations", "output_index", "filtered")


class CameTo(NamedTuple):
    """What a run came to.

    Args:
      written: rows of outputs, with the start of the name of their files.
      refused: dead letters: stage, error, where the record came from, and the record.
      lineage: rows of evidence, with their kind and the step that wrote them.
      end: what the store has of its end.
    """

    written: collections.Counter[str]
    refused: collections.Counter[str]
    lineage: collections.Counter[str]
    end: dict[str, Any]

    @property
    def counts(self) -> dict[str, tuple[int | None, ...]]:
        """What each stage took, passed on, refused and filtered."""
        names = ("in", "out", "dead", "filtered")
        return {stage["label"]: tuple(stage[name] for name in names) for stage in self.end["stages"]}

    @property
    def outputs(self) -> dict[str, tuple[int, str]]:
        """How many records each output has, and their digest."""
        return {one["label"]: (one["records"], one["digest"]) for one in self.end["outputs"]}

    @property
    def ledger(self) -> dict[str, Any]:
        """Whether it holds, and of each edge and step what was given and taken."""
        found = self.end["ledger"]
        edges = {json.dumps(edge, sort_keys=True) for edge in found["edges"]}
        return {"holds": found["holds"], "edges": edges, "steps": found["steps"]}


def damaged_flights(folder: pathlib.Path) -> str:
    """Writes damaged files of January's first flights; returns a glob that finds them."""
    source = folder / "flights.csv"
    lines = (DATA / "flights-2013-01.csv").read_text().splitlines(keepends=True)
    source.write_text("".join(lines[: ROWS + 1]))
    damage(source, folder / "input")
    return str(folder / "input" / "flights-*.csv")


def run_flights(
    folder: pathlib.Path,
    files: str,
    options: Iterable[str],
    disturb: Callable[[Any], None] = lambda result: None,
) -> CameTo:
    """Runs the pipeline, and returns what it came to.

    Args:
      folder: of its store and its outputs.
      files: that it reads.
      options: of the runner.
      disturb: is called with Beam's result before it is waited for.
    """
    store = str(folder / "store")
    arguments = [f"--input={files}", f"--output={folder}/out", f"--obs_store={store}", "--obs_report=off"]
    settings = flights_options([*arguments, "--obs_lineage=strict", "--obs_lineage_filtered=all", *options])
    pipeline = obs.Pipeline(options=settings, name="flights")
    batch.build(pipeline, settings)
    result = pipeline.run()
    disturb(result)
    result.wait_until_finish()
    return came_to(folder)


def came_to(folder: pathlib.Path) -> CameTo:
    """Returns what the newest run in a folder came to."""
    store = obs.Store(str(folder / "store"))
    run = store.find("latest")
    assert run.end is not None
    letters = obs.read_dead_letters("latest", store=store.uri)
    return CameTo(
        collections.Counter(_written(folder)),
        collections.Counter(
            repr((one.stage, one.error_type, one.origin, one.source_uri, one.payload)) for one in letters
        ),
        collections.Counter(
            repr((kind, step, sorted(row.items())))
            for kind in KINDS
            for step, row in _rows(f"{store.uri}/{run.folder}", kind)
        ),
        run.end,
    )


def _rows(folder: str, kind: str) -> Iterable[tuple[str, dict[str, Any]]]:
    for step, row in read_rows(folder, kind):
        # The stamp in a record says when, and by which run.
        yield step, {"origin": row["origin"]} if kind == "output_index" and "JSON" in step else row


def _written(folder: pathlib.Path) -> Iterable[str]:
    for file in folder.glob("out-*.avro"):
        kind = "flights" if "-flights-" in file.name else "statistics"
        with file.open("rb") as rows:
            yield from (repr((kind, row)) for row in fastavro.reader(rows))
    for file in folder.glob("out-*.jsonl"):
        for record in map(json.loads, file.read_text().splitlines()):
            origin = record.pop("_lineage")["origin"]
            yield repr(("JSON", origin, record))
