"""The way of evidence out of a woven pipeline: rows to files of the run's folder, manifests to its commit."""

from __future__ import annotations

from beam_obs.records.run_context import RunContext
from beam_obs.weaving.loom import Loom


def write_rows(loom: Loom, evidence: str | RunContext) -> None:
    """Adds the steps that write the rows of a woven pipeline."""
    raise NotImplementedError
