"""How sure an answer is: complete, sampled at a rate, or not recorded for a reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

COMPLETE = "complete"
SAMPLED = "sampled"
NOT_RECORDED = "not recorded"


@dataclasses.dataclass(frozen=True)
class Certainty:
    """How sure an answer is.

    Args:
      kind: `COMPLETE`, `SAMPLED` or `NOT_RECORDED`.
      rate: of what is sampled, the share that was kept, 0 to 1.
      reason: why it is not complete; empty where it is.
      is_damaged: whether the store had more to say, and lost it.

    >>> Certainty(SAMPLED, 0.25, "1,024 of 4,096 were kept").text
    'sampled (25%): 1,024 of 4,096 were kept'
    >>> Certainty(COMPLETE).text
    'complete'
    """

    kind: str
    rate: float | None = None
    reason: str = ""
    is_damaged: bool = False

    @property
    def text(self) -> str:
        """The certainty in one line."""
        rate = "" if self.rate is None else f" ({_percent(self.rate)})"
        return f"{self.kind}{rate}: {self.reason}" if self.reason else f"{self.kind}{rate}"

    def to_json(self) -> dict[str, Any]:
        """Returns the certainty as JSON-able values."""
        told = {"kind": self.kind, "rate": self.rate, "reason": self.reason}
        return told | {"is_damaged": True} if self.is_damaged else told


COMPLETELY = Certainty(COMPLETE)


def sampled(rate: float, reason: str) -> Certainty:
    """Returns that of an answer from a uniform sample."""
    return Certainty(SAMPLED, rate, reason)


def not_recorded(reason: str) -> Certainty:
    """Returns that of an answer that nothing was kept for."""
    return Certainty(NOT_RECORDED, None, reason)


def damaged(problems: Sequence[str]) -> Certainty:
    """Returns that of an answer for which files of the store are missing or damaged.

    >>> damaged(["a.avro is missing"]).text
    'not recorded: a.avro is missing'
    """
    more = f"; and {len(problems) - _PROBLEMS_TOLD:,} more" if len(problems) > _PROBLEMS_TOLD else ""
    return Certainty(NOT_RECORDED, None, "; ".join(problems[:_PROBLEMS_TOLD]) + more, is_damaged=True)


_PROBLEMS_TOLD = 3
_ORDER = (COMPLETE, SAMPLED, NOT_RECORDED)


def least(certainties: list[Certainty]) -> Certainty:
    """Returns the least sure of several; the smaller rate where several are sampled.

    >>> least([COMPLETELY, sampled(0.5, "a"), sampled(0.1, "b")]).reason
    'b'
    """
    if not certainties:
        return COMPLETELY
    return max(certainties, key=lambda one: (_ORDER.index(one.kind), one.is_damaged, -(one.rate or 0.0)))


def _percent(rate: float) -> str:
    return f"{rate:.0%}" if rate >= 0.1 else f"{rate:.2g}" if rate < 0.001 else f"{rate:.1%}"
