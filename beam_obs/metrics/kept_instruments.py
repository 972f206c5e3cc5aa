"""Instruments whose values travel as rows of evidence, and without a store are lost: `gauge`, `summary`."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from typing import Any

from beam_obs.beam_private import TypedMetricName
from beam_obs.metrics.instrument_names import series_name
from beam_obs.metrics.instruments import (
    DEFAULT_SERIES,
    Instrument,
    Observing,
    define,
    made_instruments,
    numbers_of,
)
from beam_obs.metrics.kept_cells import GaugeKind, SummaryKind
from beam_obs.records.errors import MissingExtra, UsageError

DEFAULT_QUANTILES = (0.5, 0.9, 0.99)


class Gauge(Instrument):
    """Has the value that it was given last; see `gauge`."""

    kind = "gauge"

    def set(self, value: float) -> None:
        """Takes a value, with the time now; what `Histogram.observe` leaves out is left out here too."""
        self._update(value)

    def _make_key(self) -> Any:
        return TypedMetricName(GaugeKind(self.name, self._values), series_name(self.name, self._values))


class Summary(Observing):
    """Has quantiles of the values that it was given; see `summary`."""

    kind = "summary"

    def _make_key(self) -> Any:
        quantiles, window = self._options
        kind = SummaryKind(self.name, self._values, quantiles, window)
        return TypedMetricName(kind, series_name(self.name, self._values))


def gauge(name: str, *labels: str, series: int = DEFAULT_SERIES) -> Gauge:
    """Returns a gauge: of all the bundles of a step, the value that was set last, by the workers' clocks.

    It travels as evidence of an observed run. In a pipeline without a store its values are lost, which is
    counted, and logged once.

    Args:
      name: as in Prometheus, with its unit: ``queue_bytes``.
      labels: names of its labels.
      series: how many series it has in each worker process; labels beyond them count as ``other``.

    Raises:
      UsageError: as of `counter`.

    >>> import beam_obs as obs
    >>> TEMPERATURE = obs.gauge("sensor_celsius", "city")
    >>> TEMPERATURE.labels(city="Oslo").set(-3.5)
    """
    return define(Gauge, name, labels, (), series)


def summary(
    name: str,
    *labels: str,
    quantiles: Sequence[float] = DEFAULT_QUANTILES,
    window: float | None = None,
    series: int = DEFAULT_SERIES,
) -> Summary:
    """Returns a summary: quantiles of all values that a step gave it, in all of its bundles.

    A quantile's rank is off by less than 0.18 % of the values, 99 times in 100: what is told as the p99 is
    between the p98.8 and the p99.2. It travels as a gauge does.

    Args:
      name: as in Prometheus, with its unit: ``parse_seconds``.
      labels: names of its labels.
      quantiles: which, each from 0 to 1.
      window: seconds before the last value that count, to a sixth of it; None for the whole run.
      series: how many series it has in each worker process; labels beyond them count as ``other``.

    Raises:
      UsageError: as of `counter`; or a quantile or the window cannot be one.
      MissingExtra: the ``summaries`` extra is not installed.

    >>> import beam_obs as obs
    >>> LATENCY = obs.summary("request_seconds", quantiles=[0.5, 0.99], window=600)
    >>> LATENCY.observe(0.25)
    """
    wanted = numbers_of(quantiles)
    if not wanted or not all(0 <= one <= 1 for one in wanted):
        raise UsageError(f"summary {name!r} needs quantiles from 0 to 1, e.g. [0.5, 0.99], not {quantiles!r}")
    seconds = () if window is None else numbers_of([window])
    if window is not None and not (seconds and 0 < seconds[0] < math.inf):
        raise UsageError(f"summary {name!r} needs a window of seconds, or None for the run, not {window!r}")
    if importlib.util.find_spec("datasketches") is None:
        raise MissingExtra("obs.summary", "summaries")
    return define(Summary, name, labels, (wanted, seconds[0] if seconds else None), series)


def are_any_kept() -> bool:
    """Returns whether this process has made instruments whose values are to be kept."""
    return bool(made_instruments((Gauge, Summary)))
