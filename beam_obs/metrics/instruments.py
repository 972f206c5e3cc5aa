"""Instruments for user code in any DoFn: `counter`, `histogram`, and in `kept_instruments` gauge and summary.

One object for each name in a process, made where the module is imported, and pickled by its name. What a
step does with one counts for that step and bundle; outside of a pipeline it does nothing.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from apache_beam.metrics.cells import CounterCell
from apache_beam.metrics.metric import Metrics
from apache_beam.metrics.metricbase import MetricName

from beam_obs.beam_private import STATE_SAMPLERS, TypedMetricName
from beam_obs.metrics import names
from beam_obs.metrics.histogram_cells import HistogramKind
from beam_obs.metrics.instrument_names import (
    TOTAL,
    USERS_NAMESPACE,
    checked_labels,
    checked_name,
    series_name,
)
from beam_obs.records.errors import UsageError
from beam_obs.records.made_at import users_line

DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Those of Prometheus, for seconds."""

DEFAULT_SERIES = 20
"""Series that an instrument with labels has in a process; those beyond are one, `OTHER`."""

OTHER = "other"

MOST_BUCKETS = 50
_MOST_LABEL_CHARACTERS = 100

_LOGGER = logging.getLogger(__name__)
_LOCK = threading.Lock()
_MADE: dict[str, Instrument] = {}


class Instrument:
    """An instrument, or one series of it.

    Args:
      name: as Prometheus has it.
      label_names: names of its labels, where it has series.
      options: what else it was made with, by which it is told from another of the same name.
      most_series: how many series it has before they are `OTHER`.
      values: labels of this series.

    Attributes:
      made_at: file and line of the program that made it; None where nobody knows.
    """

    kind: ClassVar[str]

    def __init__(
        self,
        name: str,
        label_names: tuple[str, ...] = (),
        options: tuple[Any, ...] = (),
        most_series: int = DEFAULT_SERIES,
        values: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self.label_names = label_names
        self._options = options
        self._most_series = most_series
        self._values = values or {}
        self._series: dict[tuple[str, ...], Any] = {}
        self._has_told = False
        self.made_at: str | None = None
        # What has labels counts in its series only.
        self._key = None if label_names else self._make_key()

    def __repr__(self) -> str:
        return f"<{self.kind} {series_name(self.name, self._values)}>"

    def __reduce__(self) -> Any:
        if self._values:
            return (_series_of, (type(self), self._definition, self._values))
        return (_made, (type(self), *self._definition))

    @property
    def _definition(self) -> tuple[Any, ...]:
        names = tuple(self._values) if self._values else self.label_names
        return (self.name, names, self._options, self._most_series)

    def labels(self, /, **labels: str) -> Any:
        """Returns the series with these labels, for which to keep is cheaper than to ask each time.

        A process has a bounded number of them: for labels beyond it the series ``other`` is returned, which
        is counted, and logged once.

        Raises:
          UsageError: the labels are not those that the instrument was made with.
        """
        found = self._series.get(tuple(labels.values()))
        if found is not None and tuple(labels) == self.label_names:
            return found
        if not self.label_names:
            raise UsageError(f"{self.name!r} has no labels, or is a series that has all of its own")
        if len(labels) != len(self.label_names) or not all(map(labels.__contains__, self.label_names)):
            raise UsageError(
                f"{self.name!r} takes the labels {', '.join(self.label_names)}, "
                f"not {', '.join(labels) or 'none'}"
            )
        key = tuple([str(labels[name]) for name in self.label_names])
        found = self._series.get(key)
        return found if found is not None else self._new_series(key)

    def _new_series(self, key: tuple[str, ...]) -> Any:
        cut = tuple(value[:_MOST_LABEL_CHARACTERS] for value in key)
        other = (OTHER,) * len(key)
        with _LOCK:
            if len(self._series.keys() - {other}) >= self._most_series:
                if not self._has_told:
                    self._has_told = True
                    said = "%s %s has %d series: further labels, now %s, count as %r"
                    _LOGGER.warning(said, self.kind, self.name, self._most_series, cut, OTHER)
                Metrics.counter(names.NAMESPACE, names.SERIES_BEYOND).inc()
                cut = key = other
            values = dict(zip(self.label_names, cut, strict=True))
            made = type(self)(self.name, (), self._options, self._most_series, values)
            return self._series.setdefault(key, made)

    def _make_key(self) -> Any:
        """Returns the key of the cell that holds the series in each step."""
        raise NotImplementedError

    def _update(self, value: Any) -> None:
        """Gives a value to the cell of the step that this thread is in."""
        try:
            STATE_SAMPLERS.tracker.update_metric(self._key, value)
        except AttributeError:
            self._nowhere()

    def _nowhere(self) -> None:
        """Is called where there is no step, or no series."""
        if self.label_names:
            raise UsageError(f"{self.name!r} has labels: use .labels({self.label_names[0]}=...)") from None


class Counter(Instrument):
    """Counts; see `counter`."""

    kind = "counter"

    def inc(self, count: int = 1) -> None:
        """Adds one, or a whole number as `add` does."""
        if count != 1:
            return self.add(count)
        try:
            STATE_SAMPLERS.tracker.update_metric(self._key, 1)
        except AttributeError:
            self._nowhere()

    def add(self, count: int) -> None:
        """Adds a whole number.

        Raises:
          UsageError: it is no whole number, is negative, or has more than 63 bits.
        """
        if not hasattr(count, "__index__"):
            raise UsageError(f"counter {self.name!r} takes whole numbers, and was given {count!r}")
        if count < 0:
            raise UsageError(f"counter {self.name!r} never falls, and was given {count}: use obs.gauge")
        if count >> 63:
            raise UsageError(f"counter {self.name!r} was given {count}: Beam's counters have 63 bits")
        self._update(count)

    def _make_key(self) -> Any:
        return TypedMetricName(CounterCell, MetricName(USERS_NAMESPACE, series_name(self.name, self._values)))


class Observing(Instrument):
    """What takes values one by one."""

    def observe(self, value: float) -> None:
        """Takes a value; one that is no finite number, or beyond 2^62, is left out, and counted."""
        # `_update` written out: one call more is about a sixth of what an update costs.
        try:
            STATE_SAMPLERS.tracker.update_metric(self._key, value)
        except AttributeError:
            self._nowhere()


class Histogram(Observing):
    """Counts values by buckets; see `histogram`."""

    kind = "histogram"

    def _make_key(self) -> Any:
        kind = HistogramKind(self.name, self._values, self._options)
        return TypedMetricName(kind, series_name(self.name, self._values))


def counter(name: str, *labels: str, series: int = DEFAULT_SERIES) -> Counter:
    """Returns a counter, which is a Beam counter: right on every runner.

    Args:
      name: as in Prometheus; ``_total`` is added to it where it is not there.
      labels: names of its labels.
      series: how many series it has in each worker process; labels beyond them count as ``other``.

    Raises:
      UsageError: the name, or a label, breaks a rule of Prometheus', or another instrument has the name.

    >>> import beam_obs as obs
    >>> ROWS = obs.counter("rows")
    >>> BY_CARRIER = obs.counter("flights", "carrier")
    >>> def process(row):
    ...     ROWS.inc()
    ...     BY_CARRIER.labels(carrier=row["carrier"]).add(2)
    >>> process({"carrier": "UA"})
    """
    return define(Counter, name, labels, (), series)


def histogram(
    name: str, *labels: str, buckets: Sequence[float] = DEFAULT_BUCKETS, series: int = DEFAULT_SERIES
) -> Histogram:
    """Returns a histogram, whose buckets are Beam counters: right on every runner.

    The sum of the values is kept to a millionth for each bundle and step.

    Args:
      name: as in Prometheus, with its unit: ``parse_seconds``.
      labels: names of its labels.
      buckets: upper bounds, growing; one more without bound is added.
      series: how many series it has in each worker process; labels beyond them count as ``other``.

    Raises:
      UsageError: as of `counter`; or the bounds do not grow.

    >>> import beam_obs as obs
    >>> SIZE = obs.histogram("message_bytes", buckets=[100, 1000, 10_000])
    >>> SIZE.observe(len(b"a message"))
    """
    bounds = tuple(bound for bound in numbers_of(buckets) if bound != math.inf)
    if not bounds or len(bounds) > MOST_BUCKETS or not all(map(math.isfinite, bounds)):
        raise UsageError(
            f"histogram {name!r} needs 1 to {MOST_BUCKETS} finite numbers as buckets, e.g. [0.1, 1, 10], "
            f"not {buckets!r}"
        )
    if list(bounds) != sorted(set(bounds)):
        raise UsageError(f"bounds of histogram {name!r} do not grow: {list(buckets)}")
    return define(Histogram, name, labels, bounds, series)


def numbers_of(given: Any) -> tuple[float, ...]:
    """Returns numbers as floats; none at all where one of them is none, or they are no sequence."""
    try:
        return () if isinstance(given, (str, bytes)) else tuple(float(one) for one in given)
    except (TypeError, ValueError):
        return ()


_Kind = TypeVar("_Kind", bound=Instrument)


def define(
    kind: type[_Kind], name: str, labels: tuple[str, ...], options: tuple[Any, ...], series: int
) -> _Kind:
    """Returns the one instrument of a name in this process.

    Raises:
      UsageError: the name or a label cannot be one, or another instrument has the name.
    """
    if series < 1:
        raise UsageError(f"{kind.kind} {name!r} needs at least one series, not {series}")
    full_name = checked_name(name, kind.kind)
    return _made(kind, full_name, checked_labels(labels, name), options, series)


def made_instruments(kinds: type | tuple[type, ...]) -> list[Instrument]:
    """Returns the instruments of some kinds that were made in this process."""
    with _LOCK:
        return [one for one in _MADE.values() if isinstance(one, kinds)]


def _made(
    kind: type[_Kind], name: str, labels: tuple[str, ...], options: tuple[Any, ...], series: int
) -> _Kind:
    make: Callable[[], _Kind] = lambda: kind(name, labels, options, series)  # noqa: E731
    # To Prometheus rows_total of a counter and a gauge rows are one metric, rows.
    stem = name.removesuffix(TOTAL)
    with _LOCK:
        found: Any = _MADE.get(stem)
        if found is None:
            found = _MADE[stem] = make()
            found.made_at = users_line()
    if found.kind != kind.kind:
        where = f" (made at {found.made_at})" if found.made_at else ""
        raise UsageError(
            f"a {kind.kind} cannot be named {stem!r}: there is a {found.kind} named {found.name!r} "
            f"already{where}, and both are {stem!r} to Prometheus: give one of them another name"
        )
    if type(found) is not kind or found._definition != (name, labels, options, series):
        raise UsageError(f"there is a {found.kind} named {name!r} already, made in another way")
    return found


def _series_of(kind: type[Instrument], definition: tuple[Any, ...], values: dict[str, str]) -> Any:
    return _made(kind, *definition).labels(**values)
