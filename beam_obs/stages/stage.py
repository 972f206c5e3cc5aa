"""Stage: a step of a pipeline whose bad records, counts and times can be seen.

    good = lines | "parse" >> obs.Stage(beam.Map(parse))
    good, dead = lines | "parse" >> obs.Stage(beam.Map(parse)).with_dead_letters()

The result, its types, windows and timestamps are those of the transform inside.
"""

from __future__ import annotations

import base64
import copy
import sys
from typing import Any

import apache_beam as beam
from apache_beam import pvalue
from apache_beam.coders import registry
from apache_beam.runners.common import DoFnSignature
from apache_beam.transforms.core import ParDo, _MultiParDo
from apache_beam.transforms.ptransform import _NamedPTransform

from beam_obs.metrics.names import INNER_LEAF
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.errors import UsageError
from beam_obs.records.payload import coder_name, portable_coder
from beam_obs.records.run_context import Observation, StageDescription, observation_of
from beam_obs.stages.dead_letter_format import FormatDeadLetters
from beam_obs.stages.dead_letters import DeadLetters
from beam_obs.wrapper.guard import GuardSettings
from beam_obs.wrapper.observed_dofn import ObservedDoFn
from beam_obs.wrapper.refusal import DEAD_TAG
from beam_obs.wrapper.user_callable import user_callable

_NO_LABEL = "obs.Stage without a label"


class Stage(beam.PTransform):
    """Applies a ParDo, Map, FlatMap or Filter and observes it.

    A record on which the user's code raises becomes a dead letter and the rest goes on. Dead letters
    go to the run's store in an `obs.Pipeline`, to ``dead_letters``, or with `with_dead_letters` to an
    output of one's own; where they have no home the error is raised, as without a Stage.

    Args:
      transform: what to apply, with or without a label of its own.
      dead_letters: a home for the dead letters.
      partial: whether the outputs that a generator gave before it failed are passed on. By default
        an element's outputs are passed on all or not at all (up to 10,000 of them).

    Raises:
      UsageError: the transform is not a ParDo, the Stage has no label, or dead letters have two homes.

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

    def __init__(
        self,
        transform: beam.PTransform,
        *,
        dead_letters: DeadLetters | None = None,
        partial: bool = False,
    ) -> None:
        frame = sys._getframe(1)
        self._made_at = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        label = None
        if isinstance(transform, _NamedPTransform):
            label, transform = transform.label, transform.transform
        super().__init__(label)
        if dead_letters is not None and not isinstance(dead_letters, DeadLetters):
            raise UsageError(
                f"obs.Stage at {self._made_at} got dead_letters={dead_letters!r}; give an obs.DeadLetters, "
                "or use .with_dead_letters() for an output of your own"
            )
        self._pardo, self._tags, self._main_tag, self._unknown_tags = _parts(transform, self._made_at)
        self._transform = transform
        self._dead_letters = dead_letters
        self._partial = partial
        self._as_output = False

    def default_label(self) -> str:
        """A Stage has no label of its own making: see `expand`."""
        return _NO_LABEL

    def with_dead_letters(self) -> Stage:
        """Returns this Stage with two results: what the transform gives, and its dead letters.

        The dead letters are a PCollection of `DeadLetter` with the windows and timestamps of the
        elements that were refused.
        """
        if self._dead_letters is not None:
            raise UsageError(
                f"obs.Stage at {self._made_at} has dead_letters= and with_dead_letters(): give one of them"
            )
        result = copy.copy(self)
        result._as_output = True
        return result

    def expand(self, pcoll: Any) -> Any:
        """Applies the transform to `pcoll`."""
        if self.label == _NO_LABEL:
            raise UsageError(
                f"the obs.Stage at {self._made_at} has no label. Labels are names of metrics and must not "
                'change with the code around them: write "parse" >> obs.Stage(...)'
            )
        if not isinstance(pcoll, pvalue.PCollection):
            raise UsageError(
                f"stage {self.label!r} (made at {self._made_at}) needs a PCollection, got {pcoll!r}"
            )
        pipeline = pcoll.pipeline
        stage = pipeline._current_transform().full_label
        observation = observation_of(pipeline)
        homes = [home for home in (self._dead_letters, observation.dead_letters) if home is not None]
        settings = GuardSettings(
            stage=stage,
            context=observation.context,
            settings=observation.settings,
            coder=registry.get_coder(pcoll.element_type),
            keeps_dead_letters=bool(homes) or self._as_output,
            partial=self._partial,
            keeps_lineage=carries_lineage(pcoll),
        )
        if settings.keeps_dead_letters:
            settings.coder_name = coder_name(settings.coder)
        if observation.observed:
            _describe(observation, settings, user_callable(self._pardo.fn).kind)
        result, refusals = self._apply(pcoll, settings)
        for home in homes:
            label = "DeadLetters" if home is self._dead_letters else "Evidence"
            refusals | label >> _Keep(home, settings)
        if not self._as_output:
            return result
        letters = refusals | "Letters" >> beam.ParDo(
            FormatDeadLetters(stage, observation.context)
        ).with_output_types(DeadLetter)
        return result, letters

    def _apply(self, pcoll: Any, settings: GuardSettings) -> tuple[Any, Any]:
        original = self._pardo
        # Beam sets the converters of batches on the DoFn that it is given.
        original.infer_batch_converters(pcoll.element_type)
        inner = copy.copy(original)
        inner.fn = inner.dofn = ObservedDoFn(
            original.fn, settings, bool(original.args or original.kwargs), pcoll.windowing.windowfn
        )
        inner._signature = DoFnSignature(inner.fn)
        inner.output_tags = set()
        inner.label = INNER_LEAF
        if not settings.keeps_dead_letters and self._tags is None:
            return pcoll | inner, None
        tags = () if self._tags is None else tuple(self._tags)
        unknown = self._tags is not None and (not tags if self._unknown_tags is None else self._unknown_tags)
        with_refusals = (*tags, DEAD_TAG) if settings.keeps_dead_letters else tags
        outputs = pcoll | _MultiParDo(inner, with_refusals, self._main_tag, unknown)
        refusals = outputs[DEAD_TAG] if settings.keeps_dead_letters else None
        if self._tags is None:
            return outputs[None], refusals
        users = pvalue.DoOutputsTuple(pcoll.pipeline, inner, tags, self._main_tag, unknown)
        users.producer = outputs.producer
        return users, refusals


class _Keep(beam.PTransform):
    """Brings refusals to a home."""

    def __init__(self, home: DeadLetters, settings: GuardSettings) -> None:
        super().__init__()
        self._home = home
        self._settings = settings

    def expand(self, refusals: Any) -> Any:
        return self._home.add(refusals, self._settings.stage, self._settings.context)


def carries_lineage(pcoll: Any) -> bool:
    """Returns whether a source upstream of `pcoll` stamped lineage attributes into its records."""
    seen = set()
    pending = [pcoll]
    while pending:
        producer = pending.pop().producer
        if producer is None or id(producer) in seen:
            continue
        seen.add(id(producer))
        if getattr(producer.transform, "stamps_lineage", False):
            return True
        above = producer.parent
        while above is not None:
            if getattr(above.transform, "stamps_lineage", False):
                return True
            above = above.parent
        pending.extend(value for value in producer.inputs if isinstance(value, pvalue.PCollection))
    return False


def _describe(observation: Observation, settings: GuardSettings, kind: str) -> None:
    try:
        proto = base64.b64encode(portable_coder(settings.coder)).decode("ascii")
    except Exception:
        proto = ""
    observation.stages[settings.stage] = StageDescription(settings.stage, kind, settings.coder_name, proto)


def _parts(transform: Any, made_at: str) -> tuple[Any, Any, Any, Any]:
    """Returns the ParDo inside, and tags, main tag and whether unknown tags are allowed."""
    if isinstance(transform, _MultiParDo):
        return transform._do_transform, transform._tags, transform._main_tag, transform._allow_unknown_tags
    if isinstance(transform, ParDo) and not isinstance(transform, beam.WindowInto):
        return transform, None, None, None
    if isinstance(transform, beam.PTransform):
        raise UsageError(
            f"obs.Stage at {made_at} got {type(transform).__name__}, which is not a ParDo: put a Stage "
            "on the Map, FlatMap, Filter or ParDo inside it"
        )
    raise UsageError(
        f"obs.Stage at {made_at} got {transform!r}; give it a transform, e.g. obs.Stage(beam.Map(parse))"
    )
