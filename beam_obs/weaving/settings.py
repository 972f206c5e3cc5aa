"""How a pipeline is to be woven."""

from __future__ import annotations

import dataclasses

from beam_obs.records.contributors import DEFAULT_LIMIT
from beam_obs.records.run_context import RunContext
from beam_obs.records.trace_settings import TraceSettings

WEAVE_VERSION = 8
"""Changes when the woven form of the same pipeline changes: a running job cannot be updated across it."""

SAMPLED_SHARE = 1 / 128


@dataclasses.dataclass(frozen=True)
class WeaveSettings:
    """How a pipeline is to be woven.

    Args:
      strict: whether a step that cannot be woven is an error.
      limit: contributors that are kept of an aggregate; None for all.
      evidence: folder of derivations and output index, or the run whose folder it is; None writes none.
      output_share: of the records that enter a sink, how many the output index notes, 0 to 1.
      filtered_share: of the elements that a step gives nothing of, how many are noted, 0 to 1.
      keeps_keys: whether keys of aggregates may be kept as text.
      shuffles_manifests: whether manifests cross a shuffle before they are committed. On the bundle-based
        direct runner they need not, because a step there gets only what finished bundles gave; and a shuffle
        behind a step with timers fails there where its input comes from several outputs.
      splits_reads: whether reads may be splittable DoFns. On the bundle-based direct runner those can have
        but one output.
      gathers_rows: whether rows of a stream wait for others before they are written.
      fuses_steps: whether the runner does steps behind each other in one bundle, as all do but the
        bundle-based direct runner.
      carries_origins: whether the steps are woven at all.
      keeps_ledger: whether steps count what passes them, where evidence is written.
      keeps_instruments: whether gauges and summaries of the user's leave the steps as rows.
      traces: how records are traced; None where they are not.
    """

    strict: bool = False
    limit: int | None = DEFAULT_LIMIT
    evidence: str | RunContext | None = None
    output_share: float = 1.0
    filtered_share: float = SAMPLED_SHARE
    keeps_keys: bool = True
    shuffles_manifests: bool = True
    splits_reads: bool = True
    gathers_rows: bool = True
    fuses_steps: bool = True
    carries_origins: bool = True
    keeps_ledger: bool = True
    keeps_instruments: bool = False
    traces: TraceSettings | None = None
