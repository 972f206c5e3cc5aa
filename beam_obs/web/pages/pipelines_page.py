"""All pipelines of a store, each with its newest runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from beam_obs.store.run_record import RunRecord
from beam_obs.web.page import Page
from beam_obs.web.stored_runs import StoredRuns

SHOWN_RUNS = 30


@dataclasses.dataclass(frozen=True)
class PipelineRow:
    """A pipeline as one row.

    Args:
      name: of the pipeline.
      runs: its newest runs, newest first.
      count: of all of its runs.
    """

    name: str
    runs: Sequence[RunRecord]
    count: int

    @property
    def newest(self) -> RunRecord:
        """The newest run."""
        return self.runs[0]

    @property
    def last_success(self) -> RunRecord | None:
        """The newest run that is done, of those that are shown."""
        return next((run for run in self.runs if run.status == "done"), None)


def pipelines_page(runs: StoredRuns) -> Page:
    """Returns the page of all pipelines.

    Raises:
      StoreNotFound: there is no store.
    """
    of_pipeline: dict[str, list[tuple[str, str]]] = {}
    for run, name in runs.store.ids():
        of_pipeline.setdefault(name, []).append((run, name))
    rows = [PipelineRow(name, runs.read(ids[:SHOWN_RUNS]), len(ids)) for name, ids in of_pipeline.items()]
    return Page("pipelines.html", "Pipelines", {"rows": rows}, is_live=True)
