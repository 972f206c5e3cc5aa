"""What a weave did: which steps carry lineage, which do not and why, and which sources there are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from beam_obs.records.errors import BeamObsError
from beam_obs.records.number_text import counted
from beam_obs.records.origin import Partition

WEAVE_FAILED = "the weave failed"
"""So begins the reason of a part that should have been woven: an error of the weave, not a limit."""
CANNOT_BE_READ = "Beam cannot read it back"
"""So begins the reason of a pipeline that could be woven and then not be made an object again."""


def is_error(reason: str) -> bool:
    """Returns whether a reason is an error, of the weave or of Beam's reader, not a limit that is known.

    >>> is_error("the weave failed: ValueError: too many"), is_error("its function is not in Python")
    (True, False)
    """
    return reason.startswith((WEAVE_FAILED, CANNOT_BE_READ))


def failed(error: Exception) -> str:
    """Returns the reason of a part that an error keeps from being woven.

    >>> failed(ValueError("too many"))
    'the weave failed: ValueError: too many'
    """
    return f"{WEAVE_FAILED}: {type(error).__name__}: {error}"


SOURCE, SINK = "source", "sink"
"""Roles of steps in the ledger: where records come into being, and where they leave."""

NO_ORIGIN = "its input has no origin"
"""The reason of steps that are opaque only because of others before them."""


class NotWoven(BeamObsError):
    """Lineage was asked for strictly, and some steps cannot carry it.

    Args:
      opaque: label -> reason.
    """

    def __init__(self, opaque: dict[str, str]) -> None:
        super().__init__(_list_of(opaque))
        self.opaque = opaque

    def __reduce__(self) -> tuple[type[NotWoven], tuple[dict[str, str]]]:
        return (NotWoven, (self.opaque,))


@dataclasses.dataclass(frozen=True)
class WovenSource:
    """Where records come into being.

    Args:
      label: full label of the step.
      partition: which its records' origins name; none where its records tell their own.
      kind: name of the step's class.
    """

    label: str
    partition: Partition | None
    kind: str = ""


@dataclasses.dataclass(frozen=True)
class WovenSink:
    """Where records leave.

    Args:
      label: full label of the write, ours or Beam's.
      uri: where it writes to, of files what comes before the shard; None where it does not tell.
      stamped: whether records leave with their lineage attributes.
    """

    label: str
    uri: str | None
    stamped: bool


@dataclasses.dataclass(frozen=True)
class Gathering:
    """A step that brings elements together, and how to tell whether all of them came out again.

    Args:
      label: full label of the step.
      taken: ids of the PCollections each element of which is to be in one of its groups.
      counted_by: names of the step that counts what is in the groups, and of the one that counts what goes
        in by window: runners tell their ids or their labels.
      obstacle: why the two counts cannot be held against each other, or empty.
      may_drop: whether elements may come too late for their window; then both sides are counted by window.
      gives_at_end: whether it gives what is in a window when that is over, and not before.
    """

    label: str
    taken: tuple[str, ...]
    counted_by: tuple[str, ...]
    obstacle: str = ""
    may_drop: bool = False
    gives_at_end: bool = False


IN_NO_WINDOW = "it is in the global window"
"""Why an edge is not held by window where nothing is wrong with that."""


@dataclasses.dataclass(frozen=True)
class LedgerEdge:
    """What steps give to another, held against what that takes.

    Args:
      producers: full labels of the steps that give it.
      consumer: full label of the step that takes it.
      given: terms of what they give, as `beam_obs.records.ledger_rows` has them.
      taken: of what it takes.
      obstacle: why they cannot be held against each other, or empty.
      may_drop: whether what comes too late for its window is dropped in between.
      passed: full labels of the steps in between, which give each element once.
      by_window: whether an element is in the same window on both sides.
      whole: why windows are not held against each other, or empty.
      lateness_micros: how long after its end a window takes what comes late.
    """

    producers: tuple[str, ...]
    consumer: str
    given: tuple[int, ...] = ()
    taken: tuple[int, ...] = ()
    obstacle: str = ""
    may_drop: bool = False
    passed: tuple[str, ...] = ()
    by_window: bool = True
    whole: str = ""
    lateness_micros: int = 0


@dataclasses.dataclass(frozen=True)
class LedgerStep:
    """What the ledger has of a step.

    Args:
      label: its full label.
      taken: terms of what came in; none where nobody knows.
      filtered: of what nothing came of.
      refused: of what was refused.
      given: of its outputs by tag.
      role: `SOURCE`, `SINK` or empty.
      over: windows that it has given, of a step that makes groups in windows.
    """

    label: str
    taken: tuple[int, ...] = ()
    filtered: tuple[int, ...] = ()
    refused: tuple[int, ...] = ()
    given: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    role: str = ""
    over: tuple[int, ...] = ()


@dataclasses.dataclass
class WeaveReport:
    """What became of each step.

    Args:
      woven: labels of steps that carry lineage.
      opaque: label -> reason of those that do not.
      sources: where origins are given.
      sinks: where records leave.
      ends: labels of steps that nobody takes from, as the output index has them.
      limit: contributors that are kept of an aggregate; None for all.
      output_share: of the records that enter a sink, how many the output index has; 0 where none is written.
      single_ways: label of a step -> labels of the sources each record of which comes to it once at most.
      side_reads: label of a step -> labels of those that read records which it gives as a side input.
      filtered_share: the same of the elements that a step gave nothing of.
      gatherings: steps that bring elements together, and count what is in their groups.
      ledger_edges: what the ledger holds against each other.
      ledger_steps: what it has of steps.
    """

    woven: list[str] = dataclasses.field(default_factory=list)
    opaque: dict[str, str] = dataclasses.field(default_factory=dict)
    sources: list[WovenSource] = dataclasses.field(default_factory=list)
    sinks: list[WovenSink] = dataclasses.field(default_factory=list)
    ends: list[str] = dataclasses.field(default_factory=list)
    limit: int | None = None
    output_share: float = 0.0
    filtered_share: float = 0.0
    single_ways: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    side_reads: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    gatherings: list[Gathering] = dataclasses.field(default_factory=list)
    ledger_edges: list[LedgerEdge] = dataclasses.field(default_factory=list)
    ledger_steps: list[LedgerStep] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        """Returns a line for people.

        >>> print(WeaveReport(["a", "b"], {"c": "it processes batches"}))
        lineage: 2 of 3 transforms, 1 opaque: c - it processes batches
        """
        total = len(self.woven) + len(self.opaque)
        text = f"lineage: {len(self.woven):,} of {counted(total, 'transform')}"
        return text if not self.opaque else f"{text}, {len(self.opaque)} opaque: {_list_of(self.opaque)}"


def _list_of(opaque: dict[str, str]) -> str:
    return "; ".join(f"{label} - {reason}" for label, reason in opaque.items())
