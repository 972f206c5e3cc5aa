"""What the weave has to know of a ParDo before it can weave it."""

from __future__ import annotations

import dataclasses
from typing import Any

from apache_beam.internal import pickler
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.transforms import core

from beam_obs.beam_private import DoFnParam, ExceptionHandlingWrapperDoFn, RestrictionDoFnParam
from beam_obs.woven.held_back import emits_at_the_end, unchecked
from beam_obs.woven.source_origins import passes_seeds
from beam_obs.woven.state import remembers
from beam_obs.wrapper.choosing_dofn import ChoosingDoFn
from beam_obs.wrapper.stand_in_dofn import innermost

_BATCHING = frozenset({"_GlobalWindowsBatchingDoFn", "_WindowAwareBatchingDoFn"})
_AGGREGATED_NEXT = frozenset({"_TopPerBundle"})
_KEEPS_BATCHES = "_GroupIntoBatchesDoFn"
_INFERENCE = "apache_beam.ml.inference.base"


@dataclasses.dataclass(frozen=True)
class ParDoFacts:
    """A ParDo as the weave sees it.

    Args:
      payload: as in the proto.
      pickled: the user's DoFn with its arguments, as Beam pickled them.
      dofn: the user's DoFn.
      args: its arguments.
      kwargs: the same by name.
      is_stateful: whether it has state or timers.
      is_splittable: whether it is a splittable DoFn.
      holds_back: whether it gives outputs when a bundle ends.
      passes_seeds: whether it is a part of a source, and gives what is not yet a record.
      takes_batches: whether it has `process_batch`.
      gives_batches: whether any of its outputs are batches.
      is_batching: whether it is one of Beam's that make lists of elements.
      passes_summaries: whether an aggregate of Beam's own follows.
      is_inference: whether it is RunInference's, which takes lists and gives a result for each element.
      chooses: whether each of its outputs stands for one value of the group that it takes.
      remembers: whether records may be in its state.
      combines_groups: whether it is the step of a CombineValues, which gives one element for each.
      keeps_batches: whether it is GroupIntoBatches', which keeps elements in its state and gives lists.
      obstacle: why it cannot be woven, or None.
    """

    payload: api.ParDoPayload
    pickled: bytes = b""
    dofn: Any = None
    args: Any = ()
    kwargs: Any = None
    is_stateful: bool = False
    is_splittable: bool = False
    holds_back: bool = False
    passes_seeds: bool = False
    takes_batches: bool = False
    gives_batches: bool = False
    is_batching: bool = False
    passes_summaries: bool = False
    is_inference: bool = False
    keeps_batches: bool = False
    chooses: bool = False
    remembers: bool = True
    combines_groups: bool = False
    obstacle: str | None = None


def facts_of(node: api.PTransform) -> ParDoFacts:
    """Returns what is to be known of a ParDo."""
    payload = api.ParDoPayload.FromString(node.spec.payload)
    try:
        pickled = _pickled(payload.do_fn)
        if pickled is None:
            return ParDoFacts(payload, obstacle="its function is not in Python")
        dofn, args, kwargs, *_ = pickler.loads(pickled)
    except Exception as error:
        return ParDoFacts(payload, obstacle=f"its function cannot be read here: {type(error).__name__}")
    try:
        return _facts(payload, pickled, dofn, args, kwargs)
    except Exception as error:
        return ParDoFacts(payload, pickled, dofn, obstacle=f"its function cannot be looked at: {error}")


def _facts(payload: api.ParDoPayload, pickled: bytes, dofn: Any, args: Any, kwargs: Any) -> ParDoFacts:
    callable_only = isinstance(dofn, core.CallableWrapperDoFn)
    _, defaults = core.get_function_arguments(dofn, "process")
    inner = innermost(dofn)
    of_beam = type(inner).__module__.startswith("apache_beam.transforms.")
    return ParDoFacts(
        payload,
        pickled,
        dofn,
        args,
        kwargs,
        is_stateful=bool(payload.state_specs or payload.timer_family_specs),
        is_splittable=any(isinstance(default, RestrictionDoFnParam) for default in defaults),
        holds_back=not callable_only and emits_at_the_end(inner),
        passes_seeds=passes_seeds(inner),
        takes_batches=dofn._process_batch_defined,
        gives_batches=dofn._can_yield_batches,
        is_batching=of_beam and type(inner).__name__ in _BATCHING,
        passes_summaries=of_beam and type(inner).__name__ in _AGGREGATED_NEXT,
        is_inference=_is_inference(inner),
        chooses=isinstance(unchecked(dofn), ChoosingDoFn),
        remembers=remembers(unchecked(inner)),
        combines_groups=isinstance(inner, core.CombineValuesDoFn),
        keeps_batches=of_beam and type(inner).__name__ == _KEEPS_BATCHES,
        obstacle=_obstacle(dofn, defaults),
    )


def _is_inference(dofn: Any) -> bool:
    # Beam's handling of exceptions takes a batch that fails as a whole.
    kind = type(dofn._fn if isinstance(dofn, ExceptionHandlingWrapperDoFn) else dofn)
    return kind.__name__ == "_RunInferenceDoFn" and kind.__module__ == _INFERENCE


def _obstacle(dofn: Any, defaults: list[Any]) -> str | None:
    if (dofn._process_batch_defined or dofn._can_yield_batches) and emits_at_the_end(innermost(dofn)):
        return "it takes or gives batches, and gives more when a bundle ends"
    if hasattr(dofn, "_runtime_output_constraints"):
        return "its types are checked as it runs"
    asked = [default for default in defaults if isinstance(default, DoFnParam)]
    if core.DoFn.KeyParam in asked and core.DoFn.WindowedValueParam in asked:
        return "it asks for the key and the windowed value"
    return None


def _pickled(spec: api.FunctionSpec) -> bytes | None:
    if spec.urn == python_urns.PICKLED_DOFN_INFO:
        return bytes(spec.payload)
    if spec.urn in core.StatelessDoFnInfo.REGISTERED_DOFNS:
        return bytes(core.StatelessDoFnInfo(spec.urn).serialized_dofn_data())
    return None
