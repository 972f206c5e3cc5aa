"""Gauges and summaries on a worker: what a bundle of a step says of them, taken when the bundle ends."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

from apache_beam.metrics.cells import CounterCell, MetricCell
from apache_beam.metrics.execution import MetricsEnvironment
from apache_beam.metrics.metricbase import MetricName

from beam_obs.beam_private import TypedMetricName
from beam_obs.metrics import names
from beam_obs.metrics.buffered_values import LARGEST, BufferedValues, refused_counter
from beam_obs.metrics.instrument_names import series_name
from beam_obs.records.instrument_rows import GAUGE, SUMMARY, InstrumentRow
from beam_obs.records.weighted_values import SKETCH_SIZE, pack_weighted

SLICES = 6
"""Of a window: it slides by one of them."""

_LOGGER = logging.getLogger(__name__)
_SAID: set[str] = set()


class _SilentCell(MetricCell):  # type: ignore[misc, unused-ignore]
    """A cell of which runners are told nothing."""

    def get_cumulative(self) -> None:
        return None

    def to_runner_api_monitoring_info(self, name: Any, transform_id: str) -> None:
        return None

    def reset(self) -> None:
        """Begins a bundle."""


_KEEPER = TypedMetricName(_SilentCell, "beam_obs keeper")


def keep_here() -> None:
    """Says that what gauges and summaries are given in the step that this thread is in will be taken."""
    container = MetricsEnvironment.current_container()
    if container is not None:
        container.get_metric_cell(_KEEPER)


def take_kept(step: str) -> list[bytes]:
    """Returns the rows of the bundle that ends in the step that this thread is in, and begins anew.

    Args:
      step: its label.
    """
    container = MetricsEnvironment.current_container()
    if container is None:
        return []
    cells = [cell for cell in list(container.metrics.values()) if isinstance(cell, _KeptCell)]
    return [row for cell in cells for row in _rows_of(cell, step, container.metrics)]


def _rows_of(cell: _KeptCell, step: str, metrics: dict[Any, Any]) -> list[bytes]:
    try:
        return [row._replace(step=step).to_bytes() for row in cell.take()]
    except Exception:  # ours: no reason for a pipeline to fail
        refused_counter(metrics).update(1)
        _LOGGER.exception("what a step said of an instrument is lost")
        return []


class _KeptCell(_SilentCell):
    def take(self) -> Iterator[InstrumentRow]:
        """Gives what there is to keep, and begins anew."""
        raise NotImplementedError


class KeptKind:
    """Makes the cell of a series where a step gives its first value.

    Args:
      name: of the instrument.
      labels: of the series.
    """

    kind: str

    def __init__(self, name: str, labels: Mapping[str, str]) -> None:
        self.series = series_name(name, labels)

    def __call__(self) -> MetricCell:
        container = MetricsEnvironment.current_container()
        metrics = container.metrics  # whose lock Beam holds while it asks for a cell
        if _KEEPER in metrics:
            return self.make(metrics)
        if self.series not in _SAID:
            _SAID.add(self.series)
            _LOGGER.warning(
                "%s %s has nothing to keep it in, and its values are lost: it needs a run with a store "
                "(obs.Pipeline, obs.instrument() or beam-obs run)",
                *(self.kind, self.series),
            )
        key = TypedMetricName(CounterCell, MetricName(names.NAMESPACE, names.VALUES_NOT_KEPT))
        return _NotKept(metrics.setdefault(key, CounterCell()))

    def make(self, metrics: dict[Any, Any]) -> MetricCell:
        """Returns a cell that keeps.

        Args:
          metrics: of the step.
        """
        raise NotImplementedError


class _NotKept(_SilentCell):
    def __init__(self, counter: CounterCell) -> None:
        super().__init__()
        self._counter = counter

    def update(self, value: Any) -> int:
        self._counter.update(1)
        return 0


class GaugeKind(KeptKind):
    """Makes cells of gauges."""

    kind = GAUGE

    def make(self, metrics: dict[Any, Any]) -> MetricCell:
        return _GaugeCell(self.series, refused_counter(metrics))


class _GaugeCell(_KeptCell):
    def __init__(self, series: str, refused: CounterCell) -> None:
        super().__init__()
        self._series = series
        self._refused = refused
        self._value: float | None = None
        self._at = 0

    def update(self, value: Any) -> int:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if abs(number) <= LARGEST:  # which NaN is not
            self._value, self._at = number, time.time_ns()
        else:
            self._refused.update(1)
        return 0

    def take(self) -> Iterator[InstrumentRow]:
        if self._value is not None:
            yield InstrumentRow(GAUGE, self._series, "", self._at // 1000, self._value)
        self.reset()

    def reset(self) -> None:
        self._value = None


class SummaryKind(KeptKind):
    """Makes cells of summaries.

    Args:
      name: of the summary.
      labels: of the series.
      quantiles: that are asked for.
      window: seconds; None for the whole run.
    """

    kind = SUMMARY

    def __init__(
        self, name: str, labels: Mapping[str, str], quantiles: tuple[float, ...], window: float | None
    ) -> None:
        super().__init__(name, labels)
        self.window = window
        self.options = {"quantiles": list(quantiles), "window": window}

    def make(self, metrics: dict[Any, Any]) -> MetricCell:
        return _SummaryCell(self, refused_counter(metrics))


class _SummaryCell(_KeptCell):
    def __init__(self, kind: SummaryKind, refused: Any) -> None:
        super().__init__()
        self._kind = kind
        self._slice = None if kind.window is None else max(1, int(kind.window * 1e6 / SLICES))
        self._slices: dict[int, tuple[Any, float]] = {}
        self._values = BufferedValues(self._take, refused)
        self.update = self._values.append
        self.drain = self._values.drain

    def _take(self, values: Any) -> None:
        import datasketches

        now = time.time_ns() // 1000
        start = 0 if self._slice is None else now - now % self._slice
        sketch, total = self._slices.get(start) or (datasketches.kll_doubles_sketch(SKETCH_SIZE), 0.0)
        sketch.update(values)
        self._slices[start] = sketch, total + float(values.sum())

    def take(self) -> Iterator[InstrumentRow]:
        self.drain()
        slices, self._slices = self._slices, {}
        for start, (sketch, total) in slices.items():
            yield InstrumentRow(
                SUMMARY,
                self._kind.series,
                "",
                start,
                total,
                sketch.n,
                pack_weighted(sketch.get_min_value(), sketch.get_max_value(), sketch),
                self._kind.options,
            )

    def reset(self) -> None:
        self._values.clear()
        self._slices = {}
