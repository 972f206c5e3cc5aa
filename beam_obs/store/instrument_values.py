"""Gauges and summaries of a run, from the rows of evidence that its committed manifests name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from beam_obs.metrics.families import Family, Sample
from beam_obs.metrics.instrument_names import parse_series
from beam_obs.records.instrument_rows import (
    GAUGE,
    INSTRUMENTS,
    SUMMARY,
    InstrumentRow,
    read_instrument_rows,
)
from beam_obs.records.manifest import FILE_DIGEST, LOST, content_hash
from beam_obs.records.weighted_values import RANK_ERROR, MergedValues, read_weighted
from beam_obs.store.evidence import Evidence
from beam_obs.store.row_files import read_row_file
from beam_obs.store.store import Store


def kept_families(store: Store, folder: str, evidence: Evidence, problems: list[str]) -> list[Family]:
    """Returns the gauges and summaries of a run.

    Args:
      store: the store.
      folder: the run's folder, relative to the store.
      evidence: what it holds.
      problems: where it is noted what is missing, damaged or cannot be read here.
    """
    return merged_families(kept_rows(store, folder, evidence, problems), problems)


def merged_families(rows: Iterable[InstrumentRow], problems: list[str]) -> list[Family]:
    """Returns what rows of bundles say together.

    Of a gauge the value counts that was set last, of two at one time the larger; of a summary all values of
    its window, which ends with the last slice of time that has any.

    Args:
      rows: of committed bundles, in any order.
      problems: where it is noted what cannot be read.
    """
    gauges, summaries = _by_series(rows, problems)
    samples: dict[tuple[str, str], list[Sample]] = {}
    for (series, step), row in sorted(gauges.items()):
        name, labels = _parsed(series)
        samples.setdefault((name, GAUGE), []).append(Sample(step, labels, value=row.value, at=row.at))
    for (series, step), of_series in sorted(summaries.items()):
        name, labels = _parsed(series)
        sample = _summary(step, labels, of_series, f"summary {series}", problems)
        if sample is not None:
            samples.setdefault((name, SUMMARY), []).append(sample)
    return [Family(name, kind, tuple(found)) for (name, kind), found in sorted(samples.items())]


def rows_that_count(rows: Iterable[InstrumentRow], problems: list[str]) -> list[InstrumentRow]:
    """Returns rows without those that later ones make void: `merged_families` gives the same of them.

    Args:
      rows: of committed bundles, in any order.
      problems: where it is noted what cannot be read.
    """
    gauges, summaries = _by_series(rows, problems)
    return [*gauges.values(), *(row for of_series in summaries.values() for row in _in_window(of_series)[0])]


def kept_rows(store: Store, folder: str, evidence: Evidence, problems: list[str]) -> Iterator[InstrumentRow]:
    """Gives the rows of gauges and summaries of a run.

    Args:
      store: the store.
      folder: the run's folder, relative to the store.
      evidence: what it holds.
      problems: where it is noted what is missing, damaged or cannot be read here.
    """
    for manifest in evidence.of_kind(INSTRUMENTS):
        if LOST in manifest.details:
            problems.append(f"{manifest.count} values of instruments could not be written")
            continue
        content = store.files.read(f"{folder}/{manifest.file}")
        if content is None:
            problems.append(f"{manifest.file} is missing")
            continue
        digest = manifest.details.get(FILE_DIGEST)
        if digest is not None and digest != content_hash(content).hexdigest():
            problems.append(f"{manifest.file} is not what was written")
            continue
        try:
            for block in read_row_file(manifest.file, content).blocks:
                yield from read_instrument_rows(block.data, block.count)
        except Exception as error:  # a decoder of what may be anything
            problems.append(f"{manifest.file} is damaged: {type(error).__name__}")


def _by_series(
    rows: Iterable[InstrumentRow], problems: list[str]
) -> tuple[dict[tuple[str, str], InstrumentRow], dict[tuple[str, str], list[InstrumentRow]]]:
    """Returns by series and step the row of each gauge that counts, and all of each summary."""
    gauges: dict[tuple[str, str], InstrumentRow] = {}
    summaries: dict[tuple[str, str], list[InstrumentRow]] = {}
    for row in rows:
        key = row.series, row.step
        if not math.isfinite(row.value):
            problems.append(f"{row.kind} {row.series} has a value that is no number")
        elif row.kind == GAUGE:
            if key not in gauges or (row.at, row.value) > (gauges[key].at, gauges[key].value):
                gauges[key] = row
        elif row.kind == SUMMARY:
            summaries.setdefault(key, []).append(row)
    return gauges, summaries


def _in_window(rows: list[InstrumentRow]) -> tuple[list[InstrumentRow], float | None]:
    """Returns the rows of a summary that are in its window, and how many seconds that is, if it has one."""
    last = max(rows, key=lambda row: row.at)
    window = last.options.get("window")
    if isinstance(window, (int, float)) and math.isfinite(window):
        return [row for row in rows if row.at > last.at - window * 1e6], window
    return rows, None


def _parsed(series: str) -> tuple[str, dict[str, str]]:
    return parse_series(series) or (series, {})


def _summary(
    step: str, labels: dict[str, str], rows: list[InstrumentRow], what: str, problems: list[str]
) -> Sample | None:
    shares = _quantiles(max(rows, key=lambda row: row.at))
    rows, window = _in_window(rows)
    merged = MergedValues()
    try:
        for row in rows:
            merged.add(read_weighted(row.sketch))
    except ValueError as error:
        problems.append(f"{what} is damaged: {error}")
        return None
    return Sample(
        step,
        labels,
        quantiles=dict(zip(map(str, shares), merged.quantiles(shares), strict=False)),
        rank_error=0.0 if merged.is_exact else RANK_ERROR,
        window_seconds=window,
        count=sum(row.count for row in rows),
        sum=math.fsum(row.value for row in rows),
    )


def _quantiles(row: InstrumentRow) -> list[float]:
    found = row.options.get("quantiles")
    return [float(one) for one in found if isinstance(one, (int, float))] if isinstance(found, list) else []
