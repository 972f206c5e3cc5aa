"""A replay of records of a source, which a program's pipeline reads again, and takes from a step on."""

from __future__ import annotations

from typing import Any

import apache_beam as beam

from beam_obs.records.errors import UsageError
from beam_obs.records.replayed import records_label
from beam_obs.records.run_context import Observation, RunContext
from beam_obs.replay.pipeline_cut import Cut
from beam_obs.replay.replay import Replay, ReplayPlan
from beam_obs.replay.source_choice import ChosenRecords
from beam_obs.replay.source_cut import cut_from
from beam_obs.store.store import Store
from beam_obs.weaving.portable_graph import keep_types


class SourceReplay(Replay):
    """A replay of records of a source.

    Args:
      store: where the run is that read them, and where the replay's is kept.
      chosen: the records.
      step: label of the step from which they are replayed.
      may_replace: whether files may be written over that the run wrote.
      may_be_partial: whether results of many records may be of these alone.
      only_planned: whether nothing is to run.

    Attributes:
      labels_seen: of the pipelines that were run.
    """

    def __init__(
        self,
        store: Store,
        chosen: ChosenRecords,
        step: str,
        may_replace: bool = False,
        may_be_partial: bool = False,
        only_planned: bool = False,
    ) -> None:
        super().__init__(store, chosen.record, may_replace, only_planned)
        self.chosen = chosen
        self.step = step
        self.labels_seen: list[str] = []
        self._may_be_partial = may_be_partial

    @property
    def labels(self) -> list[str]:
        """Labels of the steps that leave out records of sources."""
        return [records_label(source) for source in self.chosen.sources]

    def described(self) -> dict[str, Any]:
        """Returns what ``start.json`` says of it."""
        return {"from": self.step, "records": self.chosen.described()}

    def is_for(self, pipeline: beam.Pipeline, observation: Observation) -> bool:
        """Returns whether a pipeline has the step."""
        self.labels_seen.extend(sorted(pipeline.applied_labels))
        return self.run is None and self.step in pipeline.applied_labels

    def _plan(self, pipeline: beam.Pipeline, observation: Observation) -> ReplayPlan:
        if not observation.lineage:
            raise UsageError(
                "records are told apart by their origins, which only a woven pipeline has: leave out "
                "--obs_lineage=off"
            )
        return ReplayPlan(self._cut(pipeline))

    def started(self, pipeline: beam.Pipeline, plan: ReplayPlan, context: RunContext) -> beam.Pipeline:
        """Returns the pipeline that is run."""
        self.run = context.run
        return beam.Pipeline.from_runner_api(self._cut(pipeline).proto, pipeline.runner, pipeline._options)

    def _cut(self, pipeline: beam.Pipeline) -> Cut:
        proto = pipeline.to_runner_api(use_fake_coders=True)
        keep_types(proto)
        chosen = self.chosen
        return cut_from(proto, self.step, chosen.sources, chosen.wanted, self._may_be_partial)
