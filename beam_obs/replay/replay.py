"""A replay under way: dead letters of a run that a program's pipeline takes again, cut at their stages.

While it lasts, each pipeline that this process runs asks it what to do (see `beam_obs.runs.observer`).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.coders import Coder
from apache_beam.pipeline import PipelineVisitor
from apache_beam.runners.runner import PipelineResult, PipelineState

from beam_obs.dead_letters.letter_snapshot import SNAPSHOT, snapshot_of
from beam_obs.metrics.names import is_within, stage_of_step
from beam_obs.records.data_coders import MayRunCode
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.errors import BeamObsError
from beam_obs.records.origin import TOP_BIT
from beam_obs.records.payload import decode_payload, portable_coder
from beam_obs.records.run_context import Observation
from beam_obs.replay.coder_comparison import coder_difference
from beam_obs.replay.cut import Cut, LetterSteps, cut_pipeline
from beam_obs.replay.letter_choice import AskedReplay, ChosenLetters, limited
from beam_obs.replay.letter_source import (
    FindLetters,
    GiveRecords,
    KnownPartition,
    is_window_of,
    origins_of,
)
from beam_obs.store.letter_states import PARKED, REPLAYING, LetterStates
from beam_obs.store.parent_runs import parents_of, partitions_with_parents
from beam_obs.store.source_partition import code_of, identity_of
from beam_obs.store.store import RunNotFound, Store
from beam_obs.weaving.portable_graph import keep_types
from beam_obs.wrapper.observed_dofn import ObservedDoFn

_COMBINE = "Combine"


class NothingToReplay(BeamObsError):
    """No letter is left that can be replayed.

    Args:
      message: why.
    """


class CodersDiffer(BeamObsError):
    """The program encodes what a stage takes in another way than the run did that refused it.

    Args:
      stage: its label.
      difference: of the coders, as a clause.
    """

    def __init__(self, stage: str, difference: str) -> None:
        super().__init__(
            f"stage {stage!r}: {difference}. Nothing is replayed: the bytes would be read as something else. "
            "Run the code that refused them, or leave the stage out by --stage"
        )
        self.stage = stage


class WouldReplaceFiles(BeamObsError):
    """A write of the replay has the prefix of files that an earlier run wrote.

    Args:
      label: of the write.
      uri: the prefix.
      run: id of the run.
    """

    def __init__(self, label: str, uri: str, run: str) -> None:
        super().__init__(
            f"{label!r} would write to {uri}, where run {run} has written: files of the same names are "
            "replaced, and what went well then is lost. Give another output behind --, or --replace-files"
        )
        self.label = label
        self.uri = uri
        self.run = run


class Planned(BaseException):
    """Ends a program at the run of its pipeline: it is only to be known what a replay would do.

    Args:
      plan: of the replay.
    """

    def __init__(self, plan: ReplayPlan) -> None:
        super().__init__()
        self.plan = plan


@dataclasses.dataclass(frozen=True)
class ReplayPlan:
    """What a replay does with a pipeline.

    Args:
      coders: label of a stage -> the program's coder of what it takes.
      cut: the pipeline, cut.
    """

    coders: Mapping[str, Coder]
    cut: Cut


class Replay:
    """A replay of dead letters.

    Args:
      store: where the run is that refused them, and where the replay's is kept.
      chosen: the letters.
      asked: by what they were chosen.
      states: of the letters of their run.
      only_planned: whether nothing is to run.

    Attributes:
      run: id of the run that it became; None before.
      taken: how many letters that run has.
    """

    def __init__(
        self,
        store: Store,
        chosen: ChosenLetters,
        asked: AskedReplay,
        states: LetterStates,
        only_planned: bool = False,
    ) -> None:
        self.store = store
        self.chosen = chosen
        self.asked = asked
        self.run: str | None = None
        self.taken = 0
        self._states = states
        self._only_planned = only_planned

    @property
    def parent(self) -> str:
        """Id of the run whose letters they are."""
        return self.chosen.record.id

    @property
    def pipeline(self) -> str:
        """Name of the pipeline of that run."""
        return self.chosen.record.pipeline

    def described(self) -> dict[str, Any]:
        """Returns what ``start.json`` says of it."""
        return {"letters": len(self.chosen.letters), "stages": dict(self.chosen.by_stage)}

    def is_for(self, observation: Observation) -> bool:
        """Returns whether a pipeline has any of the stages whose letters are replayed."""
        return self.run is None and not observation.stages.keys().isdisjoint(self.chosen.by_stage)

    def plan(self, pipeline: beam.Pipeline, observation: Observation) -> ReplayPlan:
        """Returns what is to be done, and leaves out letters that the pipeline cannot take.

        Raises:
          CodersDiffer: they cannot be decoded as they were encoded.
          NothingToReplay: none of them can be taken.
          WouldReplaceFiles: a write has the output of an earlier run.
          Planned: no more is to be done.
        """
        steps = _observed_steps(pipeline)
        coders: dict[str, Coder] = {}
        noted = self.chosen.record.start.get("coders") or {}
        for stage in self.chosen.by_stage:
            settings: Any = steps[stage].transform.fn.calls.settings if stage in steps else None
            kind = observation.stages[stage].kind if stage in observation.stages else None
            obstacle = _obstacle(stage, kind, settings)
            if obstacle:
                self.chosen.leave(stage, obstacle)
                continue
            difference = coder_difference(settings.coder, noted[stage]) if stage in noted else ""
            if difference:
                raise CodersDiffer(stage, difference)
            coders[stage] = settings.coder
            self._leave_what_cannot_be_read(stage, settings, steps[stage].inputs[0].windowing.windowfn)
        self.chosen.letters = limited(self.chosen.letters, self.asked.limit)
        stages = self.chosen.by_stage
        if not stages:
            raise NothingToReplay("no dead letter that is asked for can be replayed")
        plan = ReplayPlan(
            {stage: coders[stage] for stage in stages},
            self._cut(pipeline, {stage: coders[stage] for stage in stages}),
        )
        self._check_outputs(observation, plan.cut)
        if self._only_planned:
            raise Planned(plan)
        return plan

    def _check_outputs(self, observation: Observation, cut: Cut) -> None:
        if self.asked.may_replace:
            return
        records = [self.chosen.record]
        with contextlib.suppress(RunNotFound):
            records.extend(parents_of(self.store, self.chosen.record))
        written = {
            output.get("uri"): record.id
            for record in reversed(records)
            for output in (record.end or {}).get("outputs") or ()
            if output.get("files")
        }
        for output in observation.outputs:
            if output.uri in written and any(is_within(label, output.label) for label in cut.labels):
                raise WouldReplaceFiles(output.label, output.uri, written[output.uri])

    def _leave_what_cannot_be_read(self, stage: str, settings: Any, window_fn: Any) -> None:
        readable = []
        for letter in self.chosen.letters:
            if letter.stage == stage:
                if letter.payload_coder != settings.coder_name:
                    self.chosen.left[f"encoded by {letter.payload_coder}, not by their stage's coder"] += 1
                    continue
                if not is_window_of(letter.window, window_fn):
                    self.chosen.left[f"their window, as {letter.window}, is not one of the program's"] += 1
                    continue
                try:
                    self._decode(letter, settings.coder)
                except MayRunCode as error:
                    self.chosen.left[f"{error}; --trust-pickles lets it"] += 1
                    continue
                except Exception as error:  # a coder of the user's may raise anything
                    self.chosen.left[f"they cannot be decoded: {type(error).__name__}: {error}"[:300]] += 1
                    continue
            readable.append(letter)
        self.chosen.letters = readable

    def _decode(self, letter: DeadLetter, coder: Coder) -> None:
        """Looks whether a record can be decoded, and unless pickles are trusted, without running code that
        whoever wrote the store chooses."""
        if self.asked.trust_pickles:
            coder.decode(letter.payload)
        else:
            decode_payload(letter.payload, letter.payload_coder, portable_coder(coder))

    def begin(self, run: str, folder: str) -> None:
        """Takes the letters for a run that has started, and writes down what it took.

        Args:
          run: its id.
          folder: of the run, relative to the store.

        Raises:
          NothingToReplay: others have taken all of them meanwhile.
        """
        self.run = run
        for letter in self.chosen.parked:
            if [mark.state for mark in self._states.marks(letter)][-1:] != [PARKED]:
                self._states.write(letter, PARKED)
        letters = [letter for letter in self.chosen.letters if self._states.write(letter, REPLAYING, run)]
        self.taken = len(letters)
        if not letters:
            raise NothingToReplay("another replay has taken these dead letters meanwhile")
        self.store.files.write(f"{folder}/{SNAPSHOT}", snapshot_of(letters))

    def pipeline_of(self, pipeline: beam.Pipeline, plan: ReplayPlan, file: str) -> beam.Pipeline:
        """Returns the pipeline that is run.

        Args:
          pipeline: the program's; its steps know their run.
          plan: of the replay.
          file: of the letters that were taken.
        """
        proto = self._cut(pipeline, plan.coders, file).proto
        return beam.Pipeline.from_runner_api(proto, pipeline.runner, pipeline._options)

    def _cut(self, pipeline: beam.Pipeline, coders: Mapping[str, Coder], file: str = "") -> Cut:
        proto = pipeline.to_runner_api(use_fake_coders=True)
        keep_types(proto)
        partitions = self._partitions()
        sources = {
            stage: LetterSteps(FindLetters(file, stage), GiveRecords(coder, partitions, self.run or ""))
            for stage, coder in coders.items()
        }
        return cut_pipeline(proto, sources)

    def _partitions(self) -> list[KnownPartition]:
        """Returns the partitions that the records come from."""
        origins = (origins_of(letter.origin) for letter in self.chosen.letters)
        codes = {code_of(origin) & ~TOP_BIT for one in origins for origin in one or ()}
        return [
            KnownPartition(identity_of(one), one.uri, one.source, one.positions)
            for one in partitions_with_parents(self.store, self.chosen.record)
            if one.uri is not None and one.code & ~TOP_BIT in codes
        ]


_UNDER_WAY: list[Replay] = []


@contextlib.contextmanager
def replaying(replay: Replay) -> Iterator[None]:
    """While it lasts, pipelines that are run are cut, and take the letters of a replay."""
    _UNDER_WAY.append(replay)
    try:
        yield
    finally:
        _UNDER_WAY.remove(replay)


def replay_under_way() -> Replay | None:
    """Returns the replay that pipelines are run for; None where they are run as they are."""
    return _UNDER_WAY[-1] if _UNDER_WAY else None


class NotRun(PipelineResult):  # type: ignore[misc, unused-ignore]
    """The result of a pipeline that has no part in a replay."""

    def __init__(self) -> None:
        super().__init__(PipelineState.DONE)

    def wait_until_finish(self, duration: Any = None) -> str:
        """Returns at once."""
        return str(PipelineState.DONE)

    def cancel(self) -> str:
        """Does nothing."""
        return str(PipelineState.DONE)


def _observed_steps(pipeline: beam.Pipeline) -> dict[str, Any]:
    """Returns the steps of a pipeline that may refuse elements, by the label of their stage."""
    found: dict[str, Any] = {}

    class Visitor(PipelineVisitor):  # type: ignore[misc, unused-ignore]
        def visit_transform(self, transform_node: Any) -> None:
            if isinstance(getattr(transform_node.transform, "fn", None), ObservedDoFn):
                found[stage_of_step(transform_node.full_label)] = transform_node

    pipeline.visit(Visitor())
    return found


def _obstacle(stage: str, kind: str | None, settings: Any) -> str:
    """Returns why what a stage refused cannot be given to it again; nothing where it can."""
    if kind is None:
        return f"the program has no stage {stage!r}"
    if settings is None or settings.coder is None:
        return f"{stage!r} refused them as it read them: mend the source, and read it again"
    if kind == _COMBINE:
        return f"{stage!r} is a combine, which refused a key with all that it had gathered"
    if settings.record_of is not None:
        return f"{stage!r} refused them by what others hold, which is not here"
    return ""
