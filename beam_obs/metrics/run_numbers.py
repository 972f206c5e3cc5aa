"""The numbers of one run at one moment, as exporters take them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from beam_obs.metrics.families import Family
from beam_obs.metrics.own_families import RUN_START


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
      is_taken_over: whether another process may have sent some of them before.
    """

    pipeline: str
    run: str
    at: int
    families: tuple[Family, ...]
    is_final: bool = False
    attributes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    is_taken_over: bool = False

    @property
    def began(self) -> int:
        """When the run began, microseconds since 1970; when the numbers were taken, where nobody knows."""
        started = self.family(RUN_START)
        seconds = started.samples[0].value if started is not None else None
        return self.at if seconds is None else round(seconds * 1_000_000)

    def family(self, name: str) -> Family | None:
        """Returns the family of a name."""
        return next((family for family in self.families if family.name == name), None)
