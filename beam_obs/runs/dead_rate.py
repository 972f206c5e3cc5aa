"""When a stage refuses so many records that the run counts as failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from beam_obs.metrics.snapshot import StageCounts
from beam_obs.records.errors import BeamObsError

_NAMED_FINGERPRINTS = 3


class DeadRateExceeded(BeamObsError):
    """A stage refused more than the allowed share of its records.

    The job itself ended well: what the pipeline wrote is written, and so is every dead letter.

    Args:
      stage: label of the stage.
      dead: how many records it refused.
      taken: how many it was given.
      limit: the share allowed.
      commonest: the commonest kinds of refusal, as (count, error).
    """

    def __init__(
        self, stage: str, dead: int, taken: int, limit: float, commonest: Sequence[tuple[int, str]]
    ) -> None:
        kinds = "".join(f"\n  {count:>9,}  {error}" for count, error in commonest)
        super().__init__(
            f"stage {stage!r} refused {dead:,} of {taken:,} records ({dead / taken:.1%}), "
            f"more than the {limit:.1%} that --obs_max_dead_rate allows{':' if kinds else ''}{kinds}"
        )
        self.stage = stage
        self.dead = dead
        self.taken = taken
        self.limit = limit
        self.commonest = tuple(commonest)

    @property
    def rate(self) -> float:
        """Share of the records that was refused."""
        return self.dead / self.taken

    def __reduce__(self) -> tuple[Any, ...]:
        return (DeadRateExceeded, (self.stage, self.dead, self.taken, self.limit, self.commonest))


def judge_dead_rate(
    stages: Mapping[str, StageCounts],
    limit: float,
    minimum: int,
    kinds: Sequence[Mapping[str, Any]],
) -> DeadRateExceeded | None:
    """Returns the error of the stage that refused the largest share, if that is more than allowed.

    Args:
      stages: counts by label.
      limit: share allowed.
      minimum: fewest records taken for a stage to be judged.
      kinds: dead letters by fingerprint, commonest first, as in ``end.json``.
    """
    worst: tuple[float, str] | None = None
    for label, counts in stages.items():
        refused = counts.dead - counts.leftovers
        if counts.in_ >= minimum and refused / counts.in_ > limit:
            worst = max(worst or (0.0, ""), (refused / counts.in_, label))
    if worst is None:
        return None
    label = worst[1]
    counts = stages[label]
    commonest = [
        (int(kind["count"]), f"{kind['error_type']}: {kind['error_message']}")
        for kind in kinds
        if kind["stage"] == label
    ]
    return DeadRateExceeded(
        label, counts.dead - counts.leftovers, counts.in_, limit, commonest[:_NAMED_FINGERPRINTS]
    )
