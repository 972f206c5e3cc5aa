"""The dashboard of a pipeline as Grafana imports it, over a data source of the kind of Prometheus.

https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from beam_obs.alerts.panels import (
    BARS,
    LINES,
    NUMBER,
    PER_SECOND,
    RECORDS,
    SECONDS,
    SHARE,
    STATE,
    TRUTH,
    Panel,
    PanelRow,
    Query,
)
from beam_obs.records.wording import clean

RATE_WINDOW = "$__rate_interval"
"""Grafana's own: wide enough for how often Prometheus scrapes."""

_SCHEMA_VERSION = 39
_COLUMNS, _HEIGHT = 24, 8
_DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_UNITS = {SECONDS: "s", SHARE: "percentunit", RECORDS: "short", PER_SECOND: "ops"}
_FROM_ZERO = (SHARE, RECORDS, PER_SECOND)
_TRUTHS = {"1": {"text": "holds", "color": "green"}, "0": {"text": "broken", "color": "red"}}
_TYPES = {NUMBER: "stat", LINES: "timeseries", BARS: "bargauge"}
_SHOWN = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: dict[str, dict[str, Any]] = {
    NUMBER: {"reduceOptions": _SHOWN, "textMode": "auto", "colorMode": "value", "graphMode": "none"},
    LINES: {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    BARS: {"reduceOptions": _SHOWN, "orientation": "horizontal", "displayMode": "basic"},
}


def grafana_dashboard(pipeline: str, rows: Sequence[PanelRow]) -> dict[str, Any]:
    """Returns the dashboard as JSON-able values, as ``Dashboard`` of ``@grafana/schema`` has them."""
    name = clean(pipeline)
    return {
        "uid": f"beam-obs-{hashlib.sha256(pipeline.encode('utf-8', 'replace')).hexdigest()[:16]}",
        "title": f"beam_obs: {name}",
        "description": "Made from the runs of the pipeline by `beam-obs dashboards`.",
        "tags": ["beam_obs"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}
            ]
        },
        "panels": list(_panels(rows)),
    }


def _panels(rows: Sequence[PanelRow]) -> Iterator[dict[str, Any]]:
    ids = itertools.count(1)
    top = 0
    for row in rows:
        place = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
        yield {
            "type": "row",
            "id": next(ids),
            "title": row.title,
            "collapsed": False,
            "gridPos": place,
            "panels": [],
        }
        width = _COLUMNS // len(row.panels)
        for at, panel in enumerate(row.panels):
            place = {"x": at * width, "y": top + 1, "w": width, "h": _HEIGHT}
            yield {"id": next(ids), "gridPos": place, **_panel(panel)}
        top += 1 + _HEIGHT


def _panel(panel: Panel) -> dict[str, Any]:
    options = _OPTIONS[panel.kind]
    return {
        "type": _TYPES[panel.kind],
        "title": panel.title,
        "description": clean(panel.command),
        "datasource": _DATA_SOURCE,
        "targets": [_target(query, at, panel.kind) for at, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _fields(panel), "overrides": []},
        "options": {**options, "textMode": "name"} if panel.unit == STATE else options,
    }


def _fields(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    fields: dict[str, Any] = {"unit": _UNITS.get(panel.unit, "none")}
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
        fields["custom"] = {"thresholdsStyle": {"mode": "dashed"}}
    if panel.unit in _FROM_ZERO:
        fields["min"] = 0
    if panel.unit == TRUTH:
        fields["mappings"] = [{"type": "value", "options": _TRUTHS}]
    return {**fields, "thresholds": {"mode": "absolute", "steps": steps}}


def _target(query: Query, at: int, kind: str) -> dict[str, Any]:
    return {
        "refId": chr(ord("A") + at),
        "datasource": _DATA_SOURCE,
        "editorMode": "code",
        "expr": query.expression,
        "legendFormat": " ".join(f"{{{{{label}}}}}" for label in query.labels) or "newest run",
        "instant": kind != LINES,
        "range": kind == LINES,
    }
