"""A user's ParDo with the observing DoFn in place of its own: all else about it stays."""

from __future__ import annotations

import base64
import copy
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from apache_beam import pvalue, typehints
from apache_beam.coders import registry
from apache_beam.options.pipeline_options import TypeOptions
from apache_beam.runners.common import DoFnSignature
from apache_beam.transforms.core import ParDo
from apache_beam.typehints import typecheck

from beam_obs.metrics.names import INNER_LEAF
from beam_obs.records.errors import UsageError
from beam_obs.records.payload import coder_name, portable_coder
from beam_obs.records.run_context import Observation, StageDescription
from beam_obs.wrapper.guard import GuardSettings
from beam_obs.wrapper.isolation import Isolation
from beam_obs.wrapper.observed_dofn import ObservedDoFn
from beam_obs.wrapper.redaction import Redact, redaction_within
from beam_obs.wrapper.refusal import DEAD_TAG
from beam_obs.wrapper.retrying import Retry
from beam_obs.wrapper.user_callable import MAP_TUPLE, refusal_of_arguments, user_callable


def guard_settings(
    pcoll: Any,
    stage: str,
    observation: Observation,
    keeps_dead_letters: bool,
    partial: bool = False,
    redact: Redact | None = None,
    retry: Retry | None = None,
    isolation: Isolation | None = None,
) -> GuardSettings:
    """Returns how a step labelled `stage` treats the elements of `pcoll`."""
    settings = GuardSettings(
        stage=stage,
        context=observation.context,
        settings=observation.settings,
        coder=registry.get_coder(pcoll.element_type),
        keeps_dead_letters=keeps_dead_letters,
        partial=partial,
        keeps_lineage=carries_lineage(pcoll),
        redaction=redaction_within(observation, redact),
        retry=retry,
        isolation=isolation,
    )
    if keeps_dead_letters:
        settings.coder_name = coder_name(settings.coder)
    return settings


class Observed(NamedTuple):
    """What an observing ParDo gives.

    Args:
      main: its main output.
      refused: its PCollection of refusals with the label of its step; nothing where nobody keeps them.
      pardo: as it was applied.
    """

    main: Any
    refused: list[tuple[Any, str]]
    pardo: ParDo


def observe(
    pardo: ParDo,
    pcoll: Any,
    settings: GuardSettings,
    observation: Observation,
    *,
    kind: str | None = None,
    label: str = INNER_LEAF,
    inside: Any = None,
    apply: Callable[[Any, Any], Any] | None = None,
    refuses: bool = True,
) -> Observed:
    """Applies a ParDo that observes, and notes it for the run.

    Args:
      pardo: the user's, or one of ours in its place.
      pcoll: what it takes.
      settings: how the step treats its elements.
      observation: of the pipeline.
      kind: what the run calls the step; by default by what the user wrote.
      label: of the ParDo.
      inside: the applied transform whose users may take the refusals; by default the innermost.
      apply: applies a transform to a PCollection; by default the pipeline's.
      refuses: whether it can refuse anything.

    Raises:
      UsageError: the user's code cannot be called with an element.
    """
    pipeline = pcoll.pipeline
    note_stage(settings, observation, kind or user_callable(pardo.fn).kind)
    inner = _observing(pardo, pcoll, settings)
    inner.label = label
    main = (apply or pipeline.apply)(inner, pcoll)
    if settings.keeps_lineage:
        main.element_type = with_room_for_lineage(main.element_type)
    _drop_checks_of_outputs(inner, pipeline)
    refused = []
    if refuses and settings.keeps_dead_letters:
        refused.append((own_output(main, inside or pipeline._current_transform()), settings.stage))
    return Observed(main, refused, inner)


def _observing(pardo: ParDo, pcoll: Any, settings: GuardSettings) -> ParDo:
    """Returns a copy of `pardo` that observes, to be applied to `pcoll`."""
    # Beam sets the converters of batches on the DoFn that it is given.
    pardo.infer_batch_converters(pcoll.element_type)
    inner = copy.copy(pardo)
    has_arguments = bool(pardo.args or pardo.kwargs)
    _check_arguments(pardo, settings.stage)
    dofn = pardo.fn
    if pcoll.pipeline._options.view_as(TypeOptions).runtime_type_check:
        dofn = _checking_types(pardo, settings.stage)
    inner.fn = inner.dofn = ObservedDoFn(dofn, settings, has_arguments, pcoll.windowing.windowfn)
    inner._signature = DoFnSignature(inner.fn)
    inner.display_data = pardo.display_data
    inner.output_tags = set()
    return inner


def _check_arguments(pardo: ParDo, stage: str) -> None:
    """Raises where the user's code cannot be called with an element: it would refuse every one."""
    kind, function = user_callable(pardo.fn)
    if kind == MAP_TUPLE:  # how many parts an element has is its own matter
        return
    refusal = refusal_of_arguments(function, 1 + len(pardo.args), pardo.kwargs)
    if refusal is not None:
        name = getattr(function, "__qualname__", type(function).__qualname__).rpartition("<locals>.")[2]
        more = len(pardo.args) + len(pardo.kwargs)
        given = f"an element and {more} more" if more else "an element alone"
        raise UsageError(
            f"stage {stage!r}: {name}{inspect.signature(function)} cannot be called with {given}: {refusal}"
        )


def _drop_checks_of_outputs(inner: ParDo, pipeline: Any) -> None:
    """Keeps Beam from checking at run time the types of what an observing ParDo gives.

    Beam holds every output of a step against one type, and refusals have another. With
    ``--runtime_type_check`` the user's own results are checked inside, see `_observing`; with
    ``--performance_runtime_type_check`` they are not.
    """
    options = pipeline._options.view_as(TypeOptions)
    if not (options.runtime_type_check or options.performance_runtime_type_check):
        return
    hints = inner.get_type_hints()
    if hints.output_types is not None:
        inner._type_hints = hints._replace(output_types=((typehints.Any,), hints.output_types[1]))
    inner._add_type_constraint_from_consumer = _ignore


def _ignore(full_label: str, input_type_hints: Any) -> None:
    return None


def _checking_types(pardo: ParDo, stage: str) -> Any:
    """Returns a DoFn that checks the results of the user's as Beam would; the user's where Beam cannot."""
    fn = pardo.fn
    signature = DoFnSignature(fn)
    if fn._process_batch_defined or signature.is_stateful_dofn() or signature.is_splittable_dofn():
        return fn
    hints = pardo.get_type_hints()._replace(input_types=None)
    return typecheck.OutputCheckWrapperDoFn(typecheck.TypeCheckWrapperDoFn(fn, hints, stage), stage)


def own_output(pcoll: Any, inside: Any, tag: str = DEAD_TAG) -> Any:
    """Returns an output of our own of the ParDo that produced `pcoll`.

    Args:
      pcoll: the main output of an observed ParDo.
      inside: the applied transform whose users may take it: it becomes an output of every composite between.
      tag: tag of the output: that of refusals, or another.
    """
    applied = pcoll.producer
    own = pvalue.PCollection(pcoll.pipeline, tag=tag, is_bounded=pcoll.is_bounded)
    own.producer = applied
    applied.transform.output_tags.add(tag)
    applied.add_output(own, tag)
    above = applied.parent
    while above is not None and above is not inside:
        above.add_output(own, f"{tag} {len(above.outputs)}")
        above = above.parent
    return own


def note_stage(settings: GuardSettings, observation: Observation, kind: str) -> None:
    """Notes a step for the run: its kind, and its coder, by name and as Beam's portable form."""
    if not observation.observed:
        return
    try:
        proto = base64.b64encode(portable_coder(settings.coder)).decode("ascii") if settings.coder else ""
    except Exception:
        proto = ""
    observation.stages[settings.stage] = StageDescription(settings.stage, kind, settings.coder_name, proto)


def with_room_for_lineage(element_type: Any) -> Any:
    """Returns a type that also allows lineage attributes in its dicts.

    A dict of ints that inherits ``_lineage`` is no longer a dict of ints, and the coder that Beam would
    choose by that type cannot encode it.

    >>> with_room_for_lineage(typehints.Dict[str, int])
    Dict[<class 'str'>, Any]
    """
    if isinstance(element_type, typehints.typehints.DictConstraint):
        if element_type.key_type not in (str, typehints.Any):
            return typehints.Any
        return typehints.Dict[element_type.key_type, typehints.Any]
    if isinstance(element_type, typehints.typehints.TupleConstraint) and len(element_type.tuple_types) == 2:
        key, value = element_type.tuple_types
        return typehints.Tuple[key, with_room_for_lineage(value)]
    return element_type


def carries_lineage(pcoll: Any) -> bool:
    """Returns whether a source upstream of `pcoll` stamped lineage attributes into its records."""
    seen = set()
    pending = [pcoll]
    while pending:
        producer = pending.pop().producer
        if producer is None or id(producer) in seen:
            continue
        seen.add(id(producer))
        above = producer
        while above is not None:
            if getattr(above.transform, "stamps_lineage", False):
                return True
            above = above.parent
        pending.extend(value for value in producer.inputs if isinstance(value, pvalue.PCollection))
    return False
