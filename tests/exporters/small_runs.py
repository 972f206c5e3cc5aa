"""Runs whose numbers are exported, and what is read back of them."""

from __future__ import annotations

import http.client
import pathlib
from typing import Any

import apache_beam as beam
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_plain

import beam_obs as obs

ROWS = obs.counter("exported_rows", "kind")
SIZES = obs.histogram("exported_size_bytes", buckets=[1, 10])
LOAD = obs.gauge("exported_load_ratio")

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse(line: str) -> int:
    ROWS.labels(kind='a "kind"').inc()
    SIZES.observe(len(line))
    LOAD.set(0.25)
    return int(line)


def run_small(store: pathlib.Path, *arguments: str, name: str = "small", lines: str = "1\n22\nx\n") -> Any:
    """Runs a pipeline over a file, of whose lines that are no numbers a stage refuses each."""
    source = store.parent / "lines.txt"
    source.write_text(lines)
    argv = ["--obs_report=off", "--obs_max_dead_rate=1", *arguments]
    with obs.Pipeline("FnApiRunner", argv=argv, name=name, store=str(store)) as p:
        _ = p | "read" >> obs.ReadFromText(str(source)) | "parse" >> obs.Stage(beam.Map(parse))
    return obs.Store(store).find(f"{name}@latest")


def values(text: str, openmetrics: bool = False) -> Values:
    """Returns the values of a text of Prometheus, by name and labels."""
    families = read_openmetrics(text) if openmetrics else read_plain(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def series(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def scrape(port: int, path: str = "/metrics", **headers: str) -> tuple[int, str, str]:
    """Returns status, type and text of what a port of this machine shows."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type") or "", answer.read().decode()
    finally:
        connection.close()
