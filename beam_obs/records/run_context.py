"""What is known of a pipeline while it is built: the run it belongs to, and the homes of its evidence.

A `RunContext` is shared by every step and pickled when the pipeline is submitted, so a run may fill
it as late as that. An `Observation` stays with the launcher. A plain `beam.Pipeline` has one too,
with no store: steps then rely on the homes that the user gives them.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import Any

from beam_obs.records.job_of_worker import job_of_worker, run_of_job
from beam_obs.records.log_settings import LogSettings
from beam_obs.records.run_id import new_run_id
from beam_obs.records.trace_settings import TraceSettings


@dataclasses.dataclass
class RunContext:
    """Identity of a run, as workers see it.

    Args:
      pipeline: name of the pipeline.
      run: id of the run.
      code: version of the pipeline's code.
      store: root of the run's store, or None where there is none.
      is_one_job: whether all that is in its folder is of one job; not so where a template starts many.
      traces: how it is traced; None where it is not.
      logs: how log records of user code are treated; None where they are left alone.
      replayed: the file of the dead letters that it replays; None where it does not.
      job_id: of a job that was started from a classic template; known to its workers only.
      template_run: the id under which that template is kept.
      versions: of what it stands on, where it was launched.
      store_patience: seconds that a write waits for a store that is away.
    """

    pipeline: str
    run: str
    code: str = ""
    store: str | None = None
    is_one_job: bool = True
    traces: TraceSettings | None = None
    logs: LogSettings | None = None
    replayed: str | None = None
    job_id: str | None = None
    template_run: str | None = None
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    store_patience: float = 0.0

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes what was pickled; on a worker of a job that was started from a template it is the job's."""
        vars(self).update(state)
        job = None if self.is_one_job else job_of_worker()
        if job is not None:
            self.job_id, self.template_run, self.is_one_job = job, self.run, True
            self.run = run_of_job(self.run, job)

    @property
    def folder(self) -> str | None:
        """Folder of this run in the store, or None."""
        return self._folder_of(self.run)

    @property
    def template_folder(self) -> str | None:
        """Folder of the template that its job was started from, or None."""
        return self._folder_of(self.template_run)

    def _folder_of(self, run: str | None) -> str | None:
        if self.store is None or run is None:
            return None
        return "/".join((self.store.rstrip("/"), "runs", self.pipeline, run))


@dataclasses.dataclass
class ObservationSettings:
    """Settings that reach the workers.

    Args:
      sample_rate: one element in this many is timed; 0 times none.
      payload: what is kept of refused elements: ``whole``, ``redacted`` or ``none``.
      redact: names of fields whose values are left out, or a function, or None.
      output_cap: outputs of one element that a stage holds back until its function has ended.
    """

    sample_rate: int = 128
    output_cap: int = 10_000
    payload: str = "whole"
    redact: Any = None


@dataclasses.dataclass(frozen=True)
class StageDescription:
    """What the launcher notes of a stage: its coder, once per run.

    Args:
      label: full label of the stage.
      kind: the Beam transform inside, e.g. ``Map``.
      payload_coder: name of the coder of the stage's input, as in its dead letters.
      coder_proto: the portable coder, a serialized `beam:MessageWithComponents`, in base64.
    """

    label: str
    kind: str
    payload_coder: str
    coder_proto: str = ""


@dataclasses.dataclass(frozen=True)
class DatasetDescription:
    """A dataset that a step of the pipeline reads or writes.

    Args:
      name: what the user calls it.
      uri: pattern or prefix, as given.
      label: full label of the step.
      notes_files: whether each file that the step writes is noted, with its records, each in one file.
      may_drop: whether a record that came too late for its window is in none of them.
    """

    name: str
    uri: str
    label: str
    notes_files: bool = False
    may_drop: bool = False


@dataclasses.dataclass
class Observation:
    """Everything the launcher knows of one pipeline while it is built."""

    context: RunContext
    settings: ObservationSettings = dataclasses.field(default_factory=ObservationSettings)
    dead_letters: Any = None
    evidence: list[Any] = dataclasses.field(default_factory=list)
    stages: dict[str, StageDescription] = dataclasses.field(default_factory=dict)
    inputs: list[DatasetDescription] = dataclasses.field(default_factory=list)
    outputs: list[DatasetDescription] = dataclasses.field(default_factory=list)
    dead_rates: dict[str, tuple[float | None, int | None]] = dataclasses.field(default_factory=dict)
    """Share of its records that a stage may refuse, and fewest to judge it by, where it has its own."""
    limited: set[str] = dataclasses.field(default_factory=set)
    """Labels of the steps that have a limit of their own, or of a Stage around them."""
    lineage: bool | None = None
    """Whether the pipeline will be woven, so that what leaves can be stamped; None where nobody said."""
    stamped: set[str] = dataclasses.field(default_factory=set)
    """Labels of the sinks that stamp lineage attributes on what they write."""
    enclosing: list[Any] | None = None
    """What steps inside a composite that is being guarded refuse, for its Stage to keep; None where it does
    not, and outside one."""
    redacts: list[Any] = dataclasses.field(default_factory=list)
    """What the Stages that are being applied leave out of the dead letters of all steps in them, from the
    outermost on."""

    @property
    def observed(self) -> bool:
        """Whether the pipeline belongs to a run with a store."""
        return self.context.store is not None


_ATTRIBUTE = "_beam_obs_observation"
"""An observation lives and dies with its pipeline: it holds PCollections, which hold the pipeline."""


def default_pipeline_name() -> str:
    """Returns the name of the program that was started, without folders and extension."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name not in (None, "__main__"):
        return str(spec.name).removesuffix(".__main__")
    path = getattr(main, "__file__", None) or sys.argv[0]
    return os.path.splitext(os.path.basename(path or ""))[0] or "pipeline"


def observation_of(pipeline: Any) -> Observation:
    """Returns what is known of `pipeline`, making an empty entry on first use.

    Args:
      pipeline: a ``beam.Pipeline``.
    """
    observation: Observation | None = getattr(pipeline, _ATTRIBUTE, None)
    if observation is None:
        observation = Observation(RunContext(pipeline=default_pipeline_name(), run=new_run_id()))
        setattr(pipeline, _ATTRIBUTE, observation)
    return observation
