"""What users' own instruments said in a run, in words: a line for each series and step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from beam_obs.metrics.families import COUNTER, GAUGE, HISTOGRAM, bucket_quantile
from beam_obs.metrics.instrument_names import series_name
from beam_obs.records.number_text import counted
from beam_obs.records.wording import clean

_OWN_COUNTS = {
    "values_refused": "{} not taken: no finite number, or too large",
    "values_not_kept": "{} of gauges and summaries lost: steps that have nothing to keep them in",
}


class InstrumentLine(NamedTuple):
    """What a series said in a step.

    Args:
      name: of the instrument, with labels.
      step: label of the step.
      text: the numbers.
    """

    name: str
    step: str
    text: str


def instrument_lines(told: Mapping[str, Any]) -> Iterator[InstrumentLine]:
    """Gives a line for each series and step.

    Args:
      told: the ``instruments`` of ``end.json``.
    """
    for family in told.get("families") or ():
        for sample in family["samples"]:
            series = series_name(family["name"], sample.get("labels") or {})
            yield InstrumentLine(clean(series), clean(sample["step"]), _numbers(family["kind"], sample))


def instrument_notes(told: Mapping[str, Any]) -> Iterator[str]:
    """Gives what is to be known beside the numbers: what is not in them, and whether they are of attempts."""
    for name, text in _OWN_COUNTS.items():
        if told.get(name):
            yield text.format(counted(told[name], "value"))
    if told.get("series_beyond"):
        yield f"labels beyond the bound of an instrument were used {counted(told['series_beyond'], 'time')}"
    if told.get("attempted") and any(one["kind"] in (COUNTER, HISTOGRAM) for one in told["families"]):
        yield "counters and histograms are of attempts: what was tried again may be in them twice"
    yield from (clean(problem) for problem in told.get("problems") or ())


def _numbers(kind: str, sample: Mapping[str, Any]) -> str:
    if kind in (COUNTER, GAUGE):
        return _text(sample.get("value"))
    count, total = sample.get("count") or 0, sample.get("sum")
    parts = [counted(count, "value")]
    if total is not None and count:
        parts.append(f"mean {_text(total / count)}")
    if kind == HISTOGRAM:
        buckets = sample.get("buckets") or {}
        parts.extend(f"p{share:g} ~{_text(bucket_quantile(buckets, share / 100))}" for share in (50, 99))
    else:
        quantiles = sample.get("quantiles") or {}
        parts.extend(f"p{float(share) * 100:g} {_text(value)}" for share, value in quantiles.items())
        if sample.get("window_seconds"):
            parts.append(f"of the last {_text(sample['window_seconds'])} s")
    return ", ".join(parts)


def _text(value: float | None) -> str:
    """Returns a number, short.

    >>> _text(1234567), _text(0.25), _text(1 / 3), _text(None)
    ('1,234,567', '0.25', '0.333333', '?')
    """
    if value is None:
        return "?"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
