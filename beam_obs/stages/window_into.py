"""WindowInto: Beam's, with what comes too late for its windows as dead letters.

Beam drops a record whose window, with its allowed lateness, the watermark has passed, and a DoFn sees no
watermark. A runner says in the pane of a group whether the watermark has passed the window of it. So records
are grouped in windows that end when theirs expire, each at once: what is not in an early pane is late.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam import typehints
from apache_beam.coders.coders import IntervalWindowCoder
from apache_beam.transforms.core import Windowing
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, Repeatedly
from apache_beam.transforms.window import FixedWindows, GlobalWindows, IntervalWindow, TimestampCombiner
from apache_beam.utils.timestamp import Duration, Timestamp
from apache_beam.utils.windowed_value import PANE_INFO_UNKNOWN, PaneInfo, PaneInfoTiming, WindowedValue

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.records.bad_input import LateRecord
from beam_obs.records.errors import UsageError
from beam_obs.records.given import given_number
from beam_obs.stages.stage import Stage
from beam_obs.wrapper.redaction import Redact
from beam_obs.wrapper.role import TELLS_LATE, Ours
from beam_obs.wrapper.stateless_dofn import StatelessDoFn

_SHARDS = 8
"""Keys by which records are grouped to learn whether they are late: what runs at once, and what is kept."""
_LATE = PaneInfo(True, True, PaneInfoTiming.LATE, 0, 0)

T = typehints.TypeVariable("T")


class WindowInto(Stage):
    """Puts records into windows, as `beam.WindowInto` does; those that come too late are dead letters.

    Without it a runner drops them where they are grouped or combined. A dead letter of a late record has the
    error ``beam_obs.LateRecord``, the window, the event time, the origin and the record. In a batch, and in
    the global window, nothing is late. Where dead letters have no home, a late record fails the bundle.

    Args:
      windowfn: as of `beam.WindowInto`; windows are intervals of time, or the global one.
      trigger: as of `beam.WindowInto`.
      accumulation_mode: as of `beam.WindowInto`.
      timestamp_combiner: as of `beam.WindowInto`.
      allowed_lateness: as of `beam.WindowInto`, in seconds.
      late_for: seconds of event time after a window and its lateness; what comes later still is dropped by
        the runner, and counted. Until then a runner keeps a few bytes for each window.
      dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.
      redact: what stays out of the dead letters, as for a `Stage`.
      max_dead_rate: share of its records, 0 to 1, that may be late, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.

    Raises:
      UsageError: windows are of a kind of their own, or arguments do not fit together.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> from apache_beam.transforms.window import FixedWindows
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     windowed = "windows" >> obs.WindowInto(FixedWindows(60)).with_dead_letters()
    ...     trips, late = p | beam.Create([("rome", 1)]) | windowed
    ...     _ = trips | beam.CombinePerKey(sum) | beam.Map(print)
    ('rome', 1)
    """

    _called = "obs.WindowInto"
    _takes = "windows, e.g. obs.WindowInto(FixedWindows(60))"

    def __init__(
        self,
        windowfn: Any,
        trigger: Any = None,
        accumulation_mode: Any = None,
        timestamp_combiner: Any = None,
        allowed_lateness: Any = 0,
        *,
        late_for: float = 86_400,
        dead_letters: DeadLetters | ErrorHandler | None = None,
        redact: Redact | None = None,
        max_dead_rate: float | None = None,
        max_dead_minimum: int | None = None,
    ) -> None:
        super().__init__(
            beam.ParDo(_RefuseLate()),
            dead_letters=dead_letters,
            redact=redact,
            max_dead_rate=max_dead_rate,
            max_dead_minimum=max_dead_minimum,
        )
        try:
            self._windows = beam.WindowInto(
                windowfn,
                trigger=trigger,
                accumulation_mode=accumulation_mode,
                timestamp_combiner=timestamp_combiner,
                allowed_lateness=allowed_lateness,
            )
        except (TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"{self._called} at {self._made_at}: {error}") from error
        self._late_for = given_number(late_for, "late_for")
        fn = self._windows.windowing.windowfn
        if not isinstance(fn, GlobalWindows) and not isinstance(fn.get_window_coder(), IntervalWindowCoder):
            raise UsageError(
                f"{self._called} at {self._made_at} got {fn!r}, whose windows are not intervals of time: "
                "use beam.WindowInto, and what is late is counted"
            )

    def expand(self, pcoll: Any) -> Any:
        """Applies the windows to `pcoll`."""
        self._check_input(pcoll)
        windowed = pcoll | "Windows" >> self._windows
        if not pcoll.is_bounded and not isinstance(windowed.windowing.windowfn, GlobalWindows):
            windowed = windowed | "TellLate" >> _TellLate(self._late_for)
            self._pardo = beam.ParDo(_RefuseLate())
        else:  # a pane that it may be in is that of a group upstream
            self._pardo = beam.ParDo(_Pass())
        return super().expand(windowed)


class _TellLate(Ours):
    """Gives each record as it is; its pane is an early one, unless its window has expired."""

    role = TELLS_LATE

    def __init__(self, late_for: float) -> None:
        super().__init__()
        self._late_for = late_for

    def expand(self, pcoll: Any) -> Any:
        windowing, kind = pcoll.windowing, pcoll.element_type
        lateness = Duration.of(windowing.allowed_lateness)
        sharded = pcoll | "Shard" >> beam.ParDo(_Shard(lateness)).with_output_types(
            tuple[int, tuple[kind, int]]  # type: ignore[valid-type]
        )
        # Of windows that are made already a runner asks no more than that they do not merge.
        sharded._windowing = Windowing(
            FixedWindows(1),
            Repeatedly(AfterCount(1)),
            AccumulationMode.DISCARDING,
            TimestampCombiner.OUTPUT_AT_EARLIEST,
            self._late_for,
        )
        restore = beam.ParDo(_Restore(lateness)).with_output_types(kind)
        given = sharded | beam.GroupByKey() | "Restore" >> restore
        given._windowing = windowing
        return given


class _Shard(StatelessDoFn):
    """Gives each element, with its time, in each of its windows, which ends when it expires.

    Args:
      lateness: that the windows allow.
    """

    def __init__(self, lateness: Duration) -> None:
        self._lateness = lateness

    def start_bundle(self) -> None:
        self._shard = random.randrange(_SHARDS)

    def process(
        self, element: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterable[Any]:
        lasting = IntervalWindow(window.start, window.end + self._lateness)
        return (WindowedValue((self._shard, (element, timestamp.micros)), timestamp, (lasting,)),)


class _Restore(StatelessDoFn):
    """Gives the elements of a group as they were, in a pane that says whether they are late.

    Args:
      lateness: that their windows allow.
    """

    def __init__(self, lateness: Duration) -> None:
        self._lateness = lateness

    def process(
        self, group: Any, pane: Any = beam.DoFn.PaneInfoParam, lasting: Any = beam.DoFn.WindowParam
    ) -> Iterator[Any]:
        told = PANE_INFO_UNKNOWN if pane.timing == PaneInfoTiming.EARLY else _LATE
        windows = (IntervalWindow(lasting.start, lasting.end - self._lateness),)
        for element, micros in group[1]:
            yield WindowedValue(element, Timestamp(micros=micros), windows, told)


@typehints.with_input_types(T)
@typehints.with_output_types(T)
class _Pass(StatelessDoFn):
    """Gives what it takes."""

    def process(self, element: Any) -> Iterable[Any]:
        return (element,)


@typehints.with_input_types(T)
@typehints.with_output_types(T)
class _RefuseLate(StatelessDoFn):
    """Refuses what is late."""

    def process(
        self, element: Any, pane: Any = beam.DoFn.PaneInfoParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterable[Any]:
        if pane.timing == PaneInfoTiming.LATE:
            raise LateRecord(f"came after its window {window} had expired")
        return (element,)
