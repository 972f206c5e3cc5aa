"""Whether the files that the writes of a run noted hold what went into them: a part of its balance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from beam_obs.metrics.run_snapshot import StageCounts
from beam_obs.records.manifest import Manifest
from beam_obs.records.run_context import DatasetDescription
from beam_obs.runs.balance import Line


def noted_file_lines(
    outputs: Iterable[DatasetDescription],
    manifests: Iterable[Manifest],
    stages: Mapping[str, StageCounts],
    attempted: bool = False,
) -> Iterator[Line]:
    """Gives a check of each write: what it says it wrote = records in the files that it noted.

    Args:
      outputs: of the run; only those that note their files are looked at.
      manifests: committed ones of outputs.
      stages: counts by label.
      attempted: whether bundles that were tried again may count twice: only a write that noted no file at all
        is found then.
    """
    noted: dict[str, int] = {}
    for manifest in manifests:
        noted[manifest.stage] = noted.get(manifest.stage, 0) + manifest.count
    for output in outputs:
        written = stages.get(output.label)
        if not output.notes_files or written is None or (attempted and output.label in noted):
            continue
        records = noted.get(output.label, 0)
        yield Line(
            output.label,
            ("out", written.out),
            ("in files that it noted", records),
            written.out == records,
            right_is_exact=True,
            may_drop=output.may_drop,
        )
