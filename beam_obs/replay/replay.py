"""A replay under way: records of an earlier run that a program's pipeline takes again, cut to what they need.

`beam_obs.replay.under_way` says which one it is.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
from collections.abc import Collection
from typing import Any

import apache_beam as beam

from beam_obs.metrics.names import is_within
from beam_obs.records.errors import BeamObsError
from beam_obs.records.run_context import Observation, RunContext
from beam_obs.replay.pipeline_cut import Cut
from beam_obs.store.parent_runs import parents_of
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import RunNotFound, Store

_LOOKED_AT = 200
"""Newer runs that are looked at, whether they replayed records of the same."""


class NothingToReplay(BeamObsError):
    """Nothing is left that can be replayed.

    Args:
      message: why.
    """


class WouldReplaceFiles(BeamObsError):
    """A write of the replay has the prefix of files that an earlier run wrote.

    Args:
      label: of the write.
      uri: the prefix.
      run: id of the run: the one whose records are replayed, one that they come from, or another replay.
    """

    def __init__(self, label: str, uri: str, run: str) -> None:
        super().__init__(
            f"{label!r} would write to {uri}, where run {run} has written: files of the same names are "
            "replaced, and what went well then is lost. Give another output behind --, or --replace-files"
        )
        self.label = label
        self.uri = uri
        self.run = run


@dataclasses.dataclass(frozen=True)
class ReplayPlan:
    """What a replay does with a pipeline.

    Args:
      cut: the pipeline, cut.
    """

    cut: Cut


class Planned(BaseException):
    """Ends a program at the run of its pipeline: it is only to be known what a replay would do.

    Args:
      plan: of the replay.
    """

    def __init__(self, plan: ReplayPlan) -> None:
        super().__init__()
        self.plan = plan


class Replay(abc.ABC):
    """A replay of records of a run.

    Args:
      store: where the run is, and where the replay's is kept.
      record: the run.
      may_replace: whether files may be written over that the run wrote.
      only_planned: whether nothing is to run.

    Attributes:
      run: id of the run that it became; None before.
    """

    def __init__(self, store: Store, record: RunRecord, may_replace: bool, only_planned: bool) -> None:
        self.store = store
        self.record = record
        self.run: str | None = None
        self._may_replace = may_replace
        self._only_planned = only_planned

    @property
    def parent(self) -> str:
        """Id of the run whose records they are."""
        return self.record.id

    @property
    def pipeline(self) -> str:
        """Name of the pipeline of that run."""
        return self.record.pipeline

    @property
    @abc.abstractmethod
    def labels(self) -> Collection[str]:
        """Labels of the steps that are put into the pipeline."""

    @abc.abstractmethod
    def described(self) -> dict[str, Any]:
        """Returns what ``start.json`` says of it."""

    @abc.abstractmethod
    def is_for(self, pipeline: beam.Pipeline, observation: Observation) -> bool:
        """Returns whether a pipeline has what is replayed."""

    @abc.abstractmethod
    def _plan(self, pipeline: beam.Pipeline, observation: Observation) -> ReplayPlan:
        """Returns what is to be done with a pipeline, and leaves out what it cannot take."""

    def plan(self, pipeline: beam.Pipeline, observation: Observation) -> ReplayPlan:
        """Returns what is to be done with a pipeline that it is for.

        Raises:
          BeamObsError: it cannot be done.
          WouldReplaceFiles: a write has the output of an earlier run.
          Planned: no more is to be done.
        """
        plan = self._plan(pipeline, observation)
        if not self._may_replace:
            self._check_outputs(observation, plan.cut)
        if self._only_planned:
            raise Planned(plan)
        return plan

    @abc.abstractmethod
    def started(self, pipeline: beam.Pipeline, plan: ReplayPlan, context: RunContext) -> beam.Pipeline:
        """Takes what is replayed for a run that has started; returns the pipeline that is run.

        Args:
          pipeline: the program's; its steps know their run.
          plan: of the replay.
          context: the run.

        Raises:
          NothingToReplay: there is nothing left.
        """

    def _check_outputs(self, observation: Observation, cut: Cut) -> None:
        records = [self.record]
        with contextlib.suppress(RunNotFound):
            records.extend(parents_of(self.store, self.record))
        known = {record.id for record in records}
        newer = [one for one in self.store.ids(self.pipeline) if one[0] > min(known) and one[0] not in known]
        replays = sorted(self.store.read(newer[:_LOOKED_AT]), key=lambda record: record.id)
        for record in replays:
            if record.start.get("parent_run") in known:
                known.add(record.id)
                records.insert(0, record)
        written = {
            output.get("uri"): record.id
            for record in reversed(records)
            for output in (record.end or {}).get("outputs") or ()
            if output.get("files")
        }
        for output in observation.outputs:
            if output.uri in written and any(is_within(label, output.label) for label in cut.labels):
                raise WouldReplaceFiles(output.label, output.uri, written[output.uri])
