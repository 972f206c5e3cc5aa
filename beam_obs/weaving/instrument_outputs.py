"""Outputs by which gauges and summaries leave the steps of a pipeline whose program has made any.

Every ParDo of the user's gets one, since nobody can tell which functions use which instruments.
"""

from __future__ import annotations

from apache_beam.internal import pickler
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api

from beam_obs.metrics.names import stage_of_step
from beam_obs.records.instrument_rows import INSTRUMENTS
from beam_obs.weaving import units
from beam_obs.weaving.weave_state import WeaveState
from beam_obs.woven.kept_instruments_payload import KEPT, KeepingPayload


def keep_instruments(weave: WeaveState) -> list[str]:
    """Gives ParDos an output of rows; returns their ids."""
    found = []
    for unit in weave.units:
        if unit.kind == units.PAR_DO and _can_keep(weave, unit.node):
            _add_output(weave, unit.node)
            found.append(unit.node)
    return found


def _can_keep(weave: WeaveState, node_id: str) -> bool:
    node = weave.graph.parts.transforms.get(node_id)
    if node is None or "None" not in node.outputs:
        return False
    payload = api.ParDoPayload.FromString(node.spec.payload)
    is_splittable = bool(payload.restriction_coder_id)
    return payload.do_fn.urn == python_urns.PICKLED_DOFN_INFO and (
        weave.settings.splits_reads or not is_splittable
    )


def _add_output(weave: WeaveState, node_id: str) -> None:
    node = weave.graph.node(node_id)
    label = stage_of_step(weave.label(node_id))  # as counters are told by
    rows = weave.rows_of(node.outputs["None"], INSTRUMENTS, label)
    # They are of a bundle, which has no window of its own.
    weave.put_in_global_window(rows)
    node.outputs[KEPT] = rows
    payload = api.ParDoPayload.FromString(node.spec.payload)
    payload.do_fn.payload = pickler.dumps(KeepingPayload(payload.do_fn.payload, label))
    # The maps in it have an order of their own in each process.
    node.spec.payload = payload.SerializeToString(deterministic=True)
