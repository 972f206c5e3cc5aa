"""A replay of dead letters of a run, which a program's pipeline takes again, cut at their stages."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import apache_beam as beam
from apache_beam.coders import Coder
from apache_beam.pipeline import PipelineVisitor

from beam_obs.dead_letters.letter_snapshot import snapshot_of
from beam_obs.metrics.names import stage_of_step
from beam_obs.records.data_coders import MayRunCode
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.errors import BeamObsError
from beam_obs.records.origin import TOP_BIT
from beam_obs.records.payload import decode_payload, portable_coder
from beam_obs.records.replayed import SNAPSHOT, letters_label
from beam_obs.records.run_context import Observation, RunContext
from beam_obs.replay.coder_comparison import coder_difference
from beam_obs.replay.letter_choice import AskedReplay, ChosenLetters, limited
from beam_obs.replay.letter_cut import LetterSteps, cut_at_stages
from beam_obs.replay.letter_source import (
    FindLetters,
    GiveRecords,
    KnownPartition,
    is_window_of,
    origins_of,
)
from beam_obs.replay.pipeline_cut import Cut
from beam_obs.replay.replay import NothingToReplay, Replay, ReplayPlan
from beam_obs.store.letter_states import PARKED, REPLAYING, LetterStates
from beam_obs.store.parent_runs import partitions_with_parents
from beam_obs.store.source_partition import code_of, identity_of
from beam_obs.store.store import Store
from beam_obs.weaving.portable_graph import keep_types
from beam_obs.wrapper.observed_dofn import ObservedDoFn

_COMBINE = "Combine"


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


@dataclasses.dataclass(frozen=True)
class LetterPlan(ReplayPlan):
    """What a replay of dead letters does with a pipeline.

    Args:
      coders: label of a stage -> the program's coder of what it takes.
    """

    coders: Mapping[str, Coder]


class LetterReplay(Replay):
    """A replay of dead letters.

    Args:
      store: where the run is that refused them, and where the replay's is kept.
      chosen: the letters.
      asked: by what they were chosen.
      states: of the letters of their run.
      only_planned: whether nothing is to run.

    Attributes:
      taken: how many letters the run has that it became.
    """

    def __init__(
        self,
        store: Store,
        chosen: ChosenLetters,
        asked: AskedReplay,
        states: LetterStates,
        only_planned: bool = False,
    ) -> None:
        super().__init__(store, chosen.record, asked.may_replace, only_planned)
        self.chosen = chosen
        self.asked = asked
        self.taken = 0
        self._states = states

    @property
    def labels(self) -> list[str]:
        """Labels of the steps that give stages their letters."""
        return [letters_label(stage) for stage in self.chosen.by_stage]

    def described(self) -> dict[str, Any]:
        """Returns what ``start.json`` says of it."""
        return {"letters": len(self.chosen.letters), "stages": dict(self.chosen.by_stage)}

    def is_for(self, pipeline: beam.Pipeline, observation: Observation) -> bool:
        """Returns whether a pipeline has any of the stages whose letters are replayed."""
        return self.run is None and not observation.stages.keys().isdisjoint(self.chosen.by_stage)

    def _plan(self, pipeline: beam.Pipeline, observation: Observation) -> LetterPlan:
        """Returns what is to be done, and leaves out letters that the pipeline cannot take.

        Raises:
          CodersDiffer: they cannot be decoded as they were encoded.
          NothingToReplay: none of them can be taken.
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
        taking = {stage: coders[stage] for stage in stages}
        return LetterPlan(self._cut(pipeline, taking), taking)

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

    def started(self, pipeline: beam.Pipeline, plan: ReplayPlan, context: RunContext) -> beam.Pipeline:
        """Takes the letters for a run that has started, and writes down what it took; returns what is run.

        Args:
          pipeline: the program's; its steps know their run.
          plan: of the replay.
          context: the run.

        Raises:
          NothingToReplay: others have taken all of them meanwhile.
        """
        assert isinstance(plan, LetterPlan)
        self.run = context.run
        for letter in self.chosen.parked:
            if [mark.state for mark in self._states.marks(letter)][-1:] != [PARKED]:
                self._states.write(letter, PARKED)
        letters = [
            letter for letter in self.chosen.letters if self._states.write(letter, REPLAYING, context.run)
        ]
        self.taken = len(letters)
        if not letters:
            raise NothingToReplay("another replay has taken these dead letters meanwhile")
        file = f"{context.folder}/{SNAPSHOT}"
        self.store.files.write(file.removeprefix(f"{context.store}/"), snapshot_of(letters))
        context.replayed = file
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
        return cut_at_stages(proto, sources)

    def _partitions(self) -> list[KnownPartition]:
        """Returns the partitions that the records come from."""
        origins = (origins_of(letter.origin) for letter in self.chosen.letters)
        codes = {code_of(origin) & ~TOP_BIT for one in origins for origin in one or ()}
        return [
            KnownPartition(identity_of(one), one.uri, one.source, one.positions)
            for one in partitions_with_parents(self.store, self.chosen.record)
            if one.uri is not None and one.code & ~TOP_BIT in codes
        ]


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
