"""Pipelines whose values carry where they came from, to hold what the weave says against."""

from __future__ import annotations

import glob
import itertools
import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import apache_beam as beam
import fastavro
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_obs.records.origin import Partition
from beam_obs.weaving.hook import weaving
from beam_obs.weaving.report import WeaveReport
from beam_obs.weaving.settings import WeaveSettings
from beam_obs.wrapper.traced_origin import current_origin
from beam_obs.wrapper.traced_rows import STEP_METADATA, Derivation, partitions_by_code, read_derivation

RUNNERS: dict[str, Callable[[], Any]] = {"fn_api": FnApiRunner, "bundles": BundleBasedDirectRunner}

_SEEN: dict[int, list[tuple[Any, bytes | None]]] = {}
_NUMBERS = itertools.count()


class _See(beam.DoFn):
    def __init__(self, number: int) -> None:
        self._number = number

    def process(self, value: Any) -> None:
        _SEEN[self._number].append((value, current_origin()))


class Ran(NamedTuple):
    """A woven pipeline that was run: pairs of an output and its origin, derivations by child, the report."""

    outputs: list[tuple[Any, bytes | None]]
    derivations: dict[bytes, list[Derivation]]
    report: WeaveReport

    def sources_of(self, origin: bytes | None) -> frozenset[bytes]:
        """Returns the origins of source records that an origin leads back to."""
        assert origin is not None, "an output has no origin"
        if not origin.startswith(b"\0\0\0\0"):
            return frozenset([origin])
        rows = self.derivations[origin]
        assert len({row.contributors for row in rows}) == 1, "one child, two derivations"
        assert not rows[0].unresolved, "a contributor of a partition that the report does not have"
        return frozenset().union(*(self.sources_of(one) for one in rows[0].contributors))


def run_woven(build: Callable[[Any], Any], folder: str, runner: str = "fn_api", **settings: Any) -> Ran:
    """Runs a pipeline woven; the outputs are what `build` returns.

    Args:
      build: applies steps to a pipeline, and returns a PCollection.
      folder: an empty folder for the evidence.
      runner: a name of `RUNNERS`.
      settings: of the weave.
    """
    number = next(_NUMBERS)
    seen = _SEEN[number] = []

    chosen = {"strict": True, "limit": None, **settings}
    with weaving(WeaveSettings(evidence=folder, **chosen)) as reports:
        pipeline = beam.Pipeline(runner=RUNNERS[runner]())
        build(pipeline) | "see" >> beam.ParDo(_See(number))
        pipeline.run().wait_until_finish()
    del _SEEN[number]
    derivations: dict[bytes, list[Derivation]] = {}
    partitions = [source.partition for source in reports[-1].sources if source.partition is not None]
    for row in read_derivations(folder, partitions):
        derivations.setdefault(row.child, []).append(row)
    return Ran(seen, derivations, reports[-1])


def read_derivations(folder: str, partitions: Iterable[Partition]) -> Iterable[Derivation]:
    """Gives the derivations that committed manifests name."""
    by_code = partitions_by_code(partitions)
    for step, row in read_rows(folder, "derivations"):
        yield read_derivation(row, step, by_code)


def read_rows(folder: str, kind: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """Gives the rows of one kind that committed manifests name, each with the step of its file."""
    for path in glob.glob(f"{folder}/manifest-*.json"):
        with open(path) as file:
            manifests = json.load(file)["manifests"]
        for manifest in manifests:
            if manifest["kind"] == kind:
                with open(f"{folder}/{manifest['file']}", "rb") as rows:
                    reader = fastavro.reader(rows)
                    for row in reader:
                        yield reader.metadata[STEP_METADATA], row  # type: ignore[misc]


def made(label: str, index: int) -> bytes:
    """Returns the origin of the record of a Create at an index."""
    return Partition(label, "").origin(index)
