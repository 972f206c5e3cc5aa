"""Pipelines whose values carry where they came from, to hold what the weave says against."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import fastavro
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_obs.records.lineage_rows import STEP_METADATA, Derivation, partitions_by_code, read_derivation
from beam_obs.records.origin import Partition
from beam_obs.records.weave_report import WeaveReport
from beam_obs.store.evidence import read_evidence
from beam_obs.store.store import Store
from beam_obs.testing.retrying_runner import RetryingRunner
from beam_obs.weaving.hook import weaving
from beam_obs.weaving.settings import WeaveSettings
from beam_obs.wrapper.current_origin import current_origin

RUNNERS: dict[str, Callable[[], Any]] = {
    "fn_api": FnApiRunner,
    "bundles": BundleBasedDirectRunner,
    # Each bundle fails twice before it is committed.
    "retried": lambda: RetryingRunner(times=3),
}

Seen = tuple[Any, "bytes | None"]
_SEEN: dict[int, list[list[Seen]]] = {}
_NUMBERS = itertools.count()


class _See(beam.DoFn):
    def __init__(self, number: int, output: int) -> None:
        self._number = number
        self._output = output

    def process(self, value: Any) -> None:
        _SEEN[self._number][self._output].append((value, current_origin()))


class _SeeCommitted(_See):
    """Keeps what a bundle saw when the bundle is committed."""

    def start_bundle(self) -> None:
        self._held: list[Seen] = []

    def process(self, value: Any, finalizer: Any = beam.DoFn.BundleFinalizerParam) -> None:
        if not self._held:
            finalizer.register(functools.partial(_keep, self._number, self._output, self._held))
        self._held.append((value, current_origin()))


def _keep(number: int, output: int, held: list[Seen]) -> None:
    _SEEN[number][output] += held


class Ran(NamedTuple):
    """A woven pipeline that was run.

    Args:
      seen: by PCollection, the pairs of a value and its origin.
      derivations: by child.
      report: of the weave.
    """

    seen: list[list[Seen]]
    derivations: dict[bytes, list[Derivation]]
    report: WeaveReport

    @property
    def outputs(self) -> list[Seen]:
        """The pairs of a value and its origin of all PCollections."""
        return [pair for pairs in self.seen for pair in pairs]

    def sources_of(self, origin: bytes | None) -> frozenset[bytes]:
        """Returns the origins of source records that an origin leads back to."""
        assert origin is not None, "an output has no origin"
        if not origin.startswith(b"\0\0\0\0"):
            return frozenset([origin])
        rows = self.derivations[origin]
        assert len({row.contributors for row in rows}) == 1, "one child, two derivations"
        assert not rows[0].unresolved, "a contributor of a partition that the report does not have"
        return frozenset().union(*(self.sources_of(one) for one in rows[0].contributors))


def run_woven(
    build: Callable[[Any], Any],
    folder: str,
    runner: str = "fn_api",
    options: Sequence[str] = (),
    **settings: Any,
) -> Ran:
    """Runs a pipeline woven; the outputs are what `build` returns.

    Args:
      build: applies steps to a pipeline, and returns a PCollection, or a list of them.
      folder: an empty folder for the evidence.
      runner: a name of `RUNNERS`, or of one of Beam's.
      options: of the pipeline.
      settings: of the weave.
    """
    number = next(_NUMBERS)
    chosen = {"strict": True, "limit": None, **settings}
    with weaving(WeaveSettings(evidence=folder, **chosen)) as reports:
        made_by = RUNNERS[runner]() if runner in RUNNERS else runner
        pipeline = beam.Pipeline(made_by, PipelineOptions(list(options)))
        see = _SeeCommitted if runner == "retried" else _See
        outputs = build(pipeline)
        given = outputs if isinstance(outputs, list) else [outputs]
        seen = _SEEN[number] = [[] for _ in given]
        for at, pcoll in enumerate(given):
            pcoll | f"see {at}" >> beam.ParDo(see(number, at))
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
    """Gives the rows of one kind that manifests which count name, each with the step of its file."""
    for manifest in read_evidence(Store(folder), "").of_kind(kind):
        with open(f"{folder}/{manifest.file}", "rb") as rows:
            reader = fastavro.reader(rows)
            for row in reader:
                yield reader.metadata[STEP_METADATA], row  # type: ignore[misc]


def made(label: str, index: int) -> bytes:
    """Returns the origin of the record of a Create at an index."""
    return Partition(label, "").origin(index)
