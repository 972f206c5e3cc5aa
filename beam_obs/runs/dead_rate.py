"""When a stage refuses so many records that the run counts as failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from beam_obs.records.errors import DeadRateExceeded

if TYPE_CHECKING:
    from beam_obs.metrics.run_snapshot import StageCounts

_NAMED_FINGERPRINTS = 3


def judge_dead_rate(
    stages: Mapping[str, StageCounts],
    limit: float,
    minimum: int,
    kinds: Sequence[Mapping[str, Any]],
    limits: Mapping[str, tuple[float | None, int | None]] = MappingProxyType({}),
) -> DeadRateExceeded | None:
    """Returns the error of the stage that refused the largest share, if that is more than allowed.

    Args:
      stages: counts by label.
      limit: share allowed.
      minimum: fewest records taken for a stage to be judged.
      kinds: dead letters by fingerprint, commonest first, as in ``end.json``.
      limits: share and minimum of the stages that have their own, by label; None where they have not.
    """
    worst: tuple[float, str] | None = None
    for label, counts in stages.items():
        refused = counts.dead - counts.leftovers
        own_limit, own_minimum = limits.get(label, (None, None))
        allowed = limit if own_limit is None else own_limit
        fewest = minimum if own_minimum is None else own_minimum
        if counts.in_ >= max(fewest, 1) and refused / counts.in_ > allowed:
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
    own_limit = limits.get(label, (None, None))[0]
    allowed = limit if own_limit is None else own_limit
    return DeadRateExceeded(
        label, counts.dead - counts.leftovers, counts.in_, allowed, commonest[:_NAMED_FINGERPRINTS]
    )


def limits_told(
    limit: float, minimum: int, limits: Mapping[str, tuple[float | None, int | None]]
) -> dict[str, Any]:
    """Returns what ``start.json`` and ``pipeline.json`` say of how much stages may refuse.

    Args:
      limit: share allowed.
      minimum: fewest records taken for a stage to be judged.
      limits: share and minimum of the stages that have their own, by label; None where they have not.
    """
    return {
        "max_dead_rate": limit,
        "max_dead_minimum": minimum,
        "dead_rates": {label: {"share": own, "minimum": fewest} for label, (own, fewest) in limits.items()},
    }
