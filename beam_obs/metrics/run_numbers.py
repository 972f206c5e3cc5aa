"""The numbers of one run at one moment, as exporters take them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from beam_obs.metrics.families import Family


@dataclasses.dataclass(frozen=True)
class RunNumbers:
    """The numbers of one run at one moment.

    Args:
      pipeline: name of its pipeline.
      run: its id.
      at: when they were taken, microseconds since 1970.
      families: by name; counters are totals since the run began.
      is_final: whether the run has ended, so that no others follow.
      attributes: what else is known of the run, by name: runner, job_id, code_version, beam_version, and
        region and job_name of a job of Dataflow's.
    """

    pipeline: str
    run: str
    at: int
    families: tuple[Family, ...]
    is_final: bool = False
    attributes: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def family(self, name: str) -> Family | None:
        """Returns the family of a name."""
        return next((family for family in self.families if family.name == name), None)
