"""A composite applied so that each step inside it that runs the user's code is guarded.

A composite expands by applying transforms to a pipeline. While it does, the pipeline's `apply` looks at
each of them first: a ParDo is replaced by the same ParDo with an observing DoFn, a Combine by the same
Combine with a guarded CombineFn, and in front of a file sink whose records can be tried beforehand
comes a step that tries them. Labels stay as they are. Steps that Beam's own transforms are made of
(of a Reshuffle, a Create, the inside of a sink) are left alone.
"""

from __future__ import annotations

import copy
from types import TracebackType
from typing import Any

import apache_beam as beam
from apache_beam import typehints
from apache_beam.io.iobase import Read, WriteImpl
from apache_beam.transforms.core import ParDo
from apache_beam.transforms.external import ExternalTransform

from beam_obs.beam_private import CombinePerKeyWithHotKeyFanout, NamedPTransform
from beam_obs.metrics.names import INNER_LEAF
from beam_obs.records.run_context import Observation
from beam_obs.stages.guarded_combine import HOT, REST, GuardedCombineFn, SplitCombined
from beam_obs.stages.observed_pardo import guard_settings, note_stage, observe, own_output
from beam_obs.stages.sink_records import record_check
from beam_obs.stages.tried_again import why_not_again
from beam_obs.wrapper.guard import GuardSettings
from beam_obs.wrapper.observed_dofn import ObservedDoFn
from beam_obs.wrapper.redaction import Redact
from beam_obs.wrapper.retrying import Retry
from beam_obs.wrapper.role import ObservesItsInside

_INSIDES_LEFT_ALONE: tuple[type, ...] = (
    beam.BatchElements,
    beam.Create,
    beam.GroupByKey,
    beam.GroupIntoBatches,
    beam.Reshuffle,
    beam.transforms.util.ReshufflePerKey,
    ObservesItsInside,
    Read,
    WriteImpl,
)
_HALVES = {"PreCombineFn": HOT, "PostCombineFn": REST}
"""CombineFns that Beam makes of the user's for a fanout."""
_COMBINES: tuple[type, ...] = (beam.CombineGlobally, beam.CombinePerKey, beam.CombineValues)


class GuardedExpansion:
    """A context in which what is applied to a pipeline is guarded.

    Args:
      pipeline: the pipeline that the composite is applied to.
      observation: what is known of it.
      keeps_dead_letters: whether refused elements have a home.
      partial: as for a Stage.
      redact: as for a Stage.
      transform: what the Stage is around.
      retry: as for a Stage.

    Attributes:
      guarded: full labels of the steps whose failures become dead letters.
      unguarded: full labels of those whose failures do not, each with the reason.
      untried: full labels of those that are not tried again, where others may be, each with the reason.
      tries_any: whether any is.
      refused: PCollections of refusals, each with the full label of its step.
    """

    def __init__(
        self,
        pipeline: beam.Pipeline,
        observation: Observation,
        keeps_dead_letters: bool,
        partial: bool,
        redact: Redact | None = None,
        transform: Any = None,
        retry: Retry | None = None,
    ) -> None:
        self._retry = retry
        self._redact = redact
        self._transform = transform
        self._pipeline = pipeline
        self._observation = observation
        self._keeps = keeps_dead_letters
        self._partial = partial
        self._inside = pipeline._current_transform()
        self.guarded: list[str] = []
        self.unguarded: list[tuple[str, str]] = []
        self.untried: list[tuple[str, str]] = []
        self.tries_any = False
        self.refused: list[tuple[Any, str]] = []

    def __enter__(self) -> GuardedExpansion:
        self._apply = self._pipeline.apply
        self._had_own = "apply" in self._pipeline.__dict__
        self._pipeline.apply = self._guarded_apply
        self._enclosing = self._observation.enclosing
        if self._keeps:
            self._observation.enclosing = self.refused
        self._observation.redacts.append(self._redact)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._had_own:
            self._pipeline.apply = self._apply
        else:
            del self._pipeline.apply
        self._observation.enclosing = self._enclosing
        self._observation.redacts.pop()

    def _guarded_apply(self, transform: Any, pvalueish: Any = None, label: str | None = None) -> Any:
        if label or isinstance(transform, NamedPTransform) or not isinstance(pvalueish, beam.PCollection):
            # Beam comes back with the label set on the transform.
            return self._apply(transform, pvalueish, label)
        above = [applied.transform for applied in self._transforms_above()]
        if any(isinstance(outer, _INSIDES_LEFT_ALONE) or _writes_frames(outer) for outer in above):
            return self._apply(transform, pvalueish)
        full_label = "/".join((self._pipeline._current_transform().full_label, transform.label)).lstrip("/")
        if isinstance(transform, WriteImpl):
            return self._apply(transform, self._checked_records(transform, pvalueish, full_label))
        in_combine = any(isinstance(outer, _COMBINES) for outer in above)
        if type(transform) is beam.CombinePerKey:
            return self._combine(transform, pvalueish, full_label)
        if _writes_frames(transform):
            self.unguarded.append((full_label, "records that pandas writes cannot be tried first"))
        elif isinstance(transform, ExternalTransform):
            self.unguarded.append((full_label, "written in another language"))
        elif isinstance(transform, ParDo) and not isinstance(transform, beam.WindowInto) and not in_combine:
            return self._pardo(transform, pvalueish, full_label)
        elif isinstance(transform, beam.CombineValues) and not in_combine:
            self.unguarded.append((full_label, "CombineValues has no output for what it refuses"))
        return self._apply(transform, pvalueish)

    def _transforms_above(self) -> list[Any]:
        stack = self._pipeline.transforms_stack
        return list(stack[stack.index(self._inside) + 1 :])

    def _pardo(self, pardo: ParDo, pcoll: Any, full_label: str) -> Any:
        if isinstance(pardo.fn, ObservedDoFn):
            return self._apply(pardo, pcoll)
        settings = self._settings(pcoll, full_label)
        settings.splits_batches = _takes_batches(pardo.fn)
        settings.retry = self._retry_of(pardo, full_label)
        splittable = pardo._signature.is_splittable_dofn()
        if splittable:
            self.unguarded.append((full_label, "splittable: observed, never refused half way"))
        return self._observe(pardo, pcoll, settings, pardo.label, refuses=not splittable)

    def _retry_of(self, pardo: ParDo, full_label: str) -> Retry | None:
        if self._retry is None:
            return None
        why = why_not_again(pardo)
        if why is not None:
            self.untried.append((full_label, why))
            return None
        self.tries_any = True
        return self._retry

    def _combine(self, combine: Any, pcoll: Any, full_label: str) -> Any:
        if self._retry is not None:
            self.untried.append(
                (full_label, "an aggregate is made in parts, of which a retry sees none alone")
            )
        if not self._keeps:
            return self._apply(combine, pcoll)
        stage = self._stage_of_combine(combine, full_label)
        half, pairs = self._half_of_hot_keys(combine, pcoll)
        settings = self._settings(pairs, stage)
        output_type = _output_type(combine, pcoll)
        inner = copy.copy(combine)
        inner.fn = GuardedCombineFn(combine.fn, stage, settings.redaction is not None)
        guarded = inner.with_output_types(typehints.Tuple[typehints.Any, typehints.Any])
        combined = self._apply(guarded, pcoll)
        split = ParDo(SplitCombined(settings, half))
        split.label = f"{combine.label} refusals"
        result = self._apply(split.with_output_types(output_type), combined)
        # Runners name a step's counts by this label.
        result.producer.full_label = f"{stage}/{INNER_LEAF}"
        note_stage(settings, self._observation, "Combine")
        self.guarded.append(stage)
        self.refused.append((own_output(result, self._inside), stage))
        return result

    def _half_of_hot_keys(self, combine: Any, pcoll: Any) -> tuple[str | None, Any]:
        """Returns which half of a Combine with hot-key fanout this is, and the pairs as the user has them."""
        half = _HALVES.get(type(combine.fn).__name__)
        for applied in self._transforms_above():
            if half is not None and isinstance(applied.transform, CombinePerKeyWithHotKeyFanout):
                return half, applied.inputs[0]
        return None, pcoll

    def _stage_of_combine(self, combine: Any, full_label: str) -> str:
        """Returns the label that a combine is known by: that of the Stage, where the combine is all of it."""
        outer = [applied for applied in self._transforms_above() if isinstance(applied.transform, _COMBINES)]
        label = outer[0].full_label if outer else full_label
        transform = outer[0].transform if outer else combine
        if transform is self._transform:
            label = self._inside.full_label
        # With a fanout a combine is made of two.
        return full_label if label in self.guarded else label

    def _checked_records(self, write: WriteImpl, pcoll: Any, full_label: str) -> Any:
        check = record_check(write.sink)
        if check is None:
            self.unguarded.append(
                (full_label, f"records of {type(write.sink).__name__} cannot be tried first")
            )
            return pcoll
        settings = self._settings(pcoll, f"{full_label} records")
        pardo = beam.Map(check).with_output_types(pcoll.element_type)
        return self._observe(pardo, pcoll, settings, f"{write.label} records", kind=type(write.sink).__name__)

    def _observe(
        self,
        pardo: ParDo,
        pcoll: Any,
        settings: GuardSettings,
        label: str,
        kind: str | None = None,
        refuses: bool = True,
    ) -> Any:
        main, refused, _ = observe(
            pardo,
            pcoll,
            settings,
            self._observation,
            kind=kind,
            label=label,
            inside=self._inside,
            apply=self._apply,
            refuses=refuses,
        )
        if refuses:
            self.guarded.append(settings.stage)
        self.refused += refused
        return main

    def _settings(self, pcoll: Any, full_label: str) -> GuardSettings:
        return guard_settings(pcoll, full_label, self._observation, self._keeps, self._partial)


def _writes_frames(transform: Any) -> bool:
    """Whether a transform makes frames of pandas of its records and writes them: its steps take frames."""
    kind = type(transform)
    return kind.__module__ == "apache_beam.dataframe.io" and kind.__name__ in (
        "WriteViaPandas",
        "_WriteToPandas",
    )


def _takes_batches(dofn: beam.DoFn) -> bool:
    """Whether a DoFn is that of RunInference: its elements are batches of the user's."""
    kind = type(dofn)
    return kind.__name__ == "_RunInferenceDoFn" and kind.__module__ == "apache_beam.ml.inference.base"


def _output_type(combine: Any, pcoll: Any) -> Any:
    """The type that Beam would give to the output of a Combine on `pcoll`."""
    hints = combine.get_type_hints()
    declared = hints.simple_output_type(combine.label)
    taken = hints.input_types
    if declared is None:
        return typehints.Any
    if taken and taken[0]:
        bindings = typehints.typehints.match_type_variables(taken[0][0], pcoll.element_type)
        return typehints.typehints.bind_type_variables(declared, bindings)
    return declared
