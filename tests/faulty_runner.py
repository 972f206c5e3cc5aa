"""A runner that loses, doubles or exchanges elements on the way from one step to another."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.internal import pickler
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

DROP, DOUBLE, EXCHANGE = "drop", "double", "exchange"


class Fault(beam.DoFn):
    """Passes elements on but for some, of which it does not matter what they are.

    Args:
      kind: `DROP`, `DOUBLE`, or `EXCHANGE`: one is lost for each that comes twice, so that counts agree.
      number: how many, in one bundle.
      after: how many elements of it pass before the first.
      every: of so many elements one.
    """

    def __init__(self, kind: str, number: int, after: int = 0, every: int = 1) -> None:
        self._kind = kind
        self._number = number
        self._after = after
        self._every = every

    def start_bundle(self) -> None:
        self._left = self._number
        self._lost = 0
        self._at = -self._after

    def process(self, element: Any) -> list[Any]:
        self._at += 1
        if self._at <= 0 or (self._at - 1) % self._every:
            return [element]
        if self._kind == EXCHANGE and self._lost:
            self._lost -= 1
            return [element, element]
        if not self._left:
            return [element]
        self._left -= 1
        if self._kind == EXCHANGE:
            self._lost += 1
        return [element, element] if self._kind == DOUBLE else []


class FaultyRunner(FnApiRunner):
    """Beam's FnApiRunner with a fault in front of a step.

    Args:
      step: full label of the step, with all that is in it.
      kind: of the fault.
      number: of elements.
      after, every: as of `Fault`.
    """

    def __init__(self, step: str, kind: str, number: int = 1, after: int = 0, every: int = 1) -> None:
        super().__init__()
        self._step = step
        self._fault = Fault(kind, number, after, every)

    def run_via_runner_api(self, pipeline_proto: Any, options: Any) -> Any:
        faulty = with_fault(pipeline_proto, self._step, self._fault)
        return super().run_via_runner_api(faulty, options)


def with_fault(given: Any, step: str, fault_dofn: Fault) -> Any:
    """Returns a portable pipeline with a fault in front of a step."""
    proto = api.Pipeline()
    proto.CopyFrom(given)
    parts = proto.components
    (node,) = [node for node in parts.transforms.values() if node.unique_name == step]
    (taken,) = node.inputs.values()
    made = parts.pcollections[f"{taken}_faulty"]
    made.CopyFrom(parts.pcollections[taken])
    made.unique_name += "_faulty"
    fault = parts.transforms["a_fault"]
    fault.unique_name = "a fault"
    payload = pickler.dumps((fault_dofn, (), {}, None, None))
    dofn = api.FunctionSpec(urn=python_urns.PICKLED_DOFN_INFO, payload=payload)
    fault.spec.urn = "beam:transform:pardo:v1"
    fault.spec.payload = api.ParDoPayload(do_fn=dofn).SerializeToString()
    fault.environment_id = next(one.environment_id for one in parts.transforms.values() if one.environment_id)
    fault.inputs["None"], fault.outputs["None"] = taken, f"{taken}_faulty"
    # The step and the composites around it take what is left.
    for one in parts.transforms.values():
        if f"{one.unique_name}/".startswith(f"{step}/"):
            for at in [at for at, pcoll in one.inputs.items() if pcoll == taken]:
                one.inputs[at] = f"{taken}_faulty"
    roots = proto.root_transform_ids
    root = parts.transforms[roots[0]]
    (root.subtransforms if root.subtransforms else roots).append("a_fault")
    return proto
