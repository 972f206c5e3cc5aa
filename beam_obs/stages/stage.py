"""Stage: a step of a pipeline whose bad records, counts and times can be seen.

    good = lines | "parse" >> obs.Stage(beam.Map(parse))
    good, dead = lines | "parse" >> obs.Stage(beam.Map(parse)).with_dead_letters()

The result, its types, windows and timestamps are those of the transform inside.
"""

from __future__ import annotations

import logging
from typing import Any, NoReturn

import apache_beam as beam
from apache_beam import pvalue
from apache_beam.transforms.core import ParDo
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.typehints import TypeCheckError

from beam_obs.beam_private import MultiParDo, NamedPTransform
from beam_obs.dead_letters.dead_letter_format import FormatDeadLetters
from beam_obs.dead_letters.evidence_writer import globally
from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.dead_letters.refusal_homes import RefusalHomes
from beam_obs.metrics.names import INNER_LEAF
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.errors import UsageError
from beam_obs.records.given import given_flag
from beam_obs.records.made_at import made_at
from beam_obs.records.run_context import Observation, observation_of
from beam_obs.stages.composite import GuardedExpansion
from beam_obs.stages.isolated_step import given_isolation, why_not_isolated
from beam_obs.stages.keeps_dead_letters import KeepsDeadLetters
from beam_obs.stages.observed_pardo import guard_settings, observe
from beam_obs.stages.tried_again import given_retry, why_not_again
from beam_obs.wrapper.redaction import Redact
from beam_obs.wrapper.retrying import Retry
from beam_obs.wrapper.role import ObservesItsInside

_LOGGER = logging.getLogger(__name__)
_NO_LABEL = "obs.Stage without a label"
_EMPTY_LABEL = NamedPTransform.__name__
"""What Beam calls a transform by whose label is empty."""


class Stage(KeepsDeadLetters, ObservesItsInside):
    """Applies a transform and observes it: a ParDo, Map, FlatMap or Filter, or any composite of them.

    A record on which the user's code raises becomes a dead letter and the rest goes on. Dead letters
    go to the run's store in an `obs.Pipeline`, to ``dead_letters``, or with `with_dead_letters` to an
    output of one's own; where they have no home the error is raised, as without a Stage.

    Args:
      transform: what to apply, with or without a label of its own.
      dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.
      partial: whether the outputs that a generator gave before it failed are passed on. By default
        an element's outputs are passed on all or not at all (up to 10,000 of them).
      redact: names of fields whose values stay out of the dead letters, or a function that gives an
        element's redacted form; the record cannot be had back from such dead letters.
      max_dead_rate: share of its records, 0 to 1, that this stage, or a step of a composite, may refuse: an
        observed batch run that exceeds it fails when all is written; elsewhere each window is judged, and
        fails the job.
      max_dead_minimum: fewest records for the share to be judged.
      retry: which errors are transient, and how a record is tried again for them; see `Retry`.
      isolate: whether the code of a single step runs in a process of its own, so that a record which ends the
        interpreter is a dead letter.
      timeout: seconds that a record may take, beyond which it is a dead letter; isolates, since nothing else
        ends code that hangs.
      memory: bytes that a record may take, beyond which it is a dead letter; isolates. On Linux.

    Raises:
      UsageError: there is no transform, the Stage has no label, dead letters have two homes, or its records
        cannot be tried again or isolated.

    In a composite each step that runs the user's code is guarded, and the dead letter names it;
    `guarded` and `unguarded` list them.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     good, dead = (
    ...         p
    ...         | beam.Create(["1", "x"])
    ...         | "parse" >> obs.Stage(beam.Map(int)).with_dead_letters()
    ...     )
    ...     _ = dead | beam.Map(lambda letter: print(letter.stage, letter.error_message))
    parse invalid literal for int() with base 10: 'x'
    """

    _called = "obs.Stage"
    _takes = "a transform, e.g. obs.Stage(beam.Map(parse))"

    def __init__(
        self,
        transform: beam.PTransform,
        *,
        dead_letters: DeadLetters | ErrorHandler | None = None,
        partial: bool = False,
        redact: Redact | None = None,
        max_dead_rate: float | None = None,
        max_dead_minimum: int | None = None,
        retry: Retry | None = None,
        isolate: bool = False,
        timeout: float | None = None,
        memory: int | None = None,
    ) -> None:
        self._made_at = made_at(self)
        label = None
        if isinstance(transform, NamedPTransform):
            label, transform = transform.label, transform.transform
        super().__init__(label)
        self._keep_dead_letters(dead_letters, redact, max_dead_rate, max_dead_minimum)
        _refuse_what_is_none(transform, self)
        self._pardo, self._tags, self._main_tag, self._unknown_tags = _parts(transform)
        self._transform = transform
        self._partial = given_flag(partial, "partial")
        self._retry = given_retry(retry, partial)
        self._isolation = given_isolation(isolate, timeout, memory, partial)
        self.guarded: list[str] = []
        """Labels of the steps inside a composite whose failures become dead letters; filled when applied."""
        self.unguarded: list[tuple[str, str]] = []
        """Labels of those that fail the bundle as without a Stage, each with the reason."""
        self.untried: list[tuple[str, str]] = []
        """With ``retry=``, labels of those in a composite that are not tried again, each with the reason."""

    def default_label(self) -> str:
        """A Stage has no label of its own making: see `expand`."""
        return _NO_LABEL

    def expand(self, pcoll: Any) -> Any:
        """Applies the transform to `pcoll`."""
        if self.label in (_NO_LABEL, _EMPTY_LABEL):
            raise UsageError(
                f"the {self._called} at {self._made_at} has no label. Labels are names of metrics and must "
                f'not change with the code around them: write "parse" >> {self._called}(...)'
            )
        self._check_input(pcoll)
        pipeline = pcoll.pipeline
        stage = pipeline._current_transform().full_label
        observation = observation_of(pipeline)
        homes = RefusalHomes(observation, self._home, self._as_output)
        keeps = homes.keep_refusals
        if self._pardo is None:
            result, refused = self._guard_composite(pcoll, stage, observation, keeps)
        else:
            result, refused = self._observe_pardo(pcoll, stage, observation, keeps)
        suffixes = _suffixes([of_step for _, of_step in refused], stage)
        self._limit_dead_rate(pcoll, result, observation, refused, suffixes)
        for (refusals, of_step), suffix in zip(refused, suffixes, strict=True):
            homes.keep(refusals, of_step, suffix)
        if not homes.gives_letters:
            return result
        # Beside those of other steps, what a combine refuses that is the whole Stage has a label of its own.
        of_whole = "" if self._pardo is not None else " of it"
        of_steps = [
            refusals
            | f"Letters{suffix or of_whole}"
            >> beam.ParDo(FormatDeadLetters(of_step, observation.context)).with_output_types(DeadLetter)
            for (refusals, of_step), suffix in zip(refused, suffixes, strict=True)
        ]
        letters = of_steps[0] if self._pardo is not None else _flat(pcoll, of_steps)
        return self._with_letters(result, letters, stage)

    def _check_input(self, pcoll: Any) -> None:
        if isinstance(pcoll, pvalue.PBegin):
            raise UsageError(
                f"{self._called} {self.label!r} (made at {self._made_at}) needs a PCollection, got a pipeline"
                ": apply it to what a step before it gives; a read of Beam's is observed by an obs.Source, "
                "and one of ours needs nothing around it"
            )
        if not isinstance(pcoll, pvalue.PCollection):
            raise UsageError(
                f"{self._called} {self.label!r} (made at {self._made_at}) needs a PCollection, got {pcoll!r}"
            )

    def _observe_pardo(
        self, pcoll: Any, stage: str, observation: Observation, keeps: bool
    ) -> tuple[Any, Any]:
        if self._retry is not None and (why := why_not_again(self._pardo)) is not None:
            self._refuse("retry=", why)
        if self._isolation is not None and (why := why_not_isolated(self._pardo)) is not None:
            self._refuse("isolate=True, timeout= or memory=", why)
        settings = guard_settings(
            pcoll, stage, observation, keeps, self._partial, self._redact, self._retry, self._isolation
        )
        try:
            observed = observe(self._pardo, pcoll, settings, observation)
        except TypeCheckError as error:
            raise TypeCheckError(str(error).replace(f"'{INNER_LEAF}'", repr(self.label))) from None
        if self._tags is None:
            return observed.main, observed.refused
        # Beam makes the tagged outputs from the first part of what applied them: this Stage.
        outputs = pvalue.DoOutputsTuple(
            pcoll.pipeline, observed.pardo, tuple(self._tags), self._main_tag, self._unknown_tags
        )
        return outputs, observed.refused

    def _guard_composite(
        self, pcoll: Any, stage: str, observation: Observation, keeps: bool
    ) -> tuple[Any, Any]:
        if self._isolation is not None:
            why = "it is a composite, each step of which would have processes of its own"
            self._refuse("isolate=True, timeout= or memory=", why)
        guarded = GuardedExpansion(
            pcoll.pipeline, observation, keeps, self._partial, self._redact, self._transform, self._retry
        )
        with guarded:
            result = pcoll | self._transform
        self._take_tried(guarded)
        self.guarded = list(guarded.guarded)
        self.unguarded = list(guarded.unguarded)
        if self.unguarded:
            steps = "; ".join(f"{step} - {reason}" for step, reason in self.unguarded)
            _LOGGER.info("stage %r does not guard: %s", stage, steps)
        return result, guarded.refused

    def _take_tried(self, guarded: GuardedExpansion) -> None:
        """Takes which steps of a composite are not tried again.

        Raises:
          UsageError: none of them is.
        """
        self.untried = list(guarded.untried)
        if self._retry is not None and not guarded.tries_any:
            reasons = "; ".join(f"{step} - {reason}" for step, reason in self.untried)
            self._refuse(
                "retry=", f"there is no step in it that can be tried again{': ' * bool(reasons)}{reasons}"
            )

    def _refuse(self, argument: str, why: str) -> NoReturn:
        raise UsageError(
            f"{self._called} {self.label!r} (made at {self._made_at}) cannot have {argument}: {why}. "
            "Leave it out, or do what needs it in a Map of its own, in a Stage around that"
        )


def _suffixes(steps: list[str], stage: str) -> list[str]:
    """Returns what tells labels within a Stage from each other: the step inside a composite that they are
    for, and a number where it refuses in several places."""
    found: list[str] = []
    for number, step in enumerate(steps):
        inner = step.removeprefix(stage).strip("/").replace("/", ".")
        before = steps[:number].count(step)
        found.append((f" of {inner}" if inner else "") + (f" {before + 1}" if before else ""))
    return found


def _flat(pcoll: Any, letters: list[Any]) -> Any:
    if not letters:
        return pcoll.pipeline | "NoLetters" >> beam.Create([]).with_output_types(DeadLetter)
    if len({str(one.windowing) for one in letters}) > 1:
        letters = [globally(one, f"Globally {position}") for position, one in enumerate(letters)]
    return tuple(letters) | "Letters" >> beam.Flatten()


def _refuse_what_is_none(transform: Any, stage: Stage) -> None:
    """Refuses what is no transform, or has been observed already, and says what to write."""
    called = stage._called
    advice = f"give it {stage._takes}"
    if isinstance(transform, Stage):
        advice = "one of them is enough: a Stage already keeps, counts and times what it is put around"
    elif isinstance(transform, beam.DoFn) or (
        isinstance(transform, type) and issubclass(transform, beam.DoFn)
    ):
        name = getattr(transform, "__name__", type(transform).__name__)
        advice = f"a DoFn becomes a transform by ParDo: {called}(beam.ParDo({name}()))"
    elif isinstance(transform, type) and issubclass(transform, beam.PTransform):
        advice = f"make one of the class: {called}({transform.__name__}(...))"
    elif isinstance(transform, beam.PTransform):
        return
    got = f"an {transform._called}" if isinstance(transform, Stage) else repr(transform)
    raise UsageError(f"{called} at {stage._made_at} got {got}; {advice}")


def _parts(transform: Any) -> tuple[Any, Any, Any, Any]:
    """Returns the ParDo, its tags, main tag and whether unknown ones are allowed; Nones for a composite."""
    if isinstance(transform, MultiParDo):
        return transform._do_transform, transform._tags, transform._main_tag, transform._allow_unknown_tags
    if isinstance(transform, ParDo) and not isinstance(transform, beam.WindowInto):
        return transform, None, None, None
    return None, None, None, None
