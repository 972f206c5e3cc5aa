"""The dashboard of a pipeline as Google Cloud Monitoring has it.

https://cloud.google.com/monitoring/api/ref_v3/rest/v1/projects.dashboards
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from beam_obs.alerts.panels import LINES, NUMBER, PER_SECOND, RECORDS, SECONDS, SHARE, Panel, PanelRow, Query
from beam_obs.records.wording import clean

RATE_WINDOW = "${__interval}"
"""Cloud Monitoring's own: that which a chart shows as one point."""

_COLUMNS, _HEADER, _HEIGHT = 48, 4, 16
_UNITS = {SECONDS: "s", SHARE: "10^2.%", RECORDS: "1", PER_SECOND: "1/s"}


def cloud_dashboard(pipeline: str, rows: Sequence[PanelRow]) -> dict[str, Any]:
    """Returns the dashboard as JSON-able values, as ``Dashboard`` of the API has them."""
    return {
        "displayName": f"beam_obs: {clean(pipeline)}",
        "mosaicLayout": {"columns": _COLUMNS, "tiles": list(_tiles(rows))},
        "labels": {"beam_obs": ""},
    }


def _tiles(rows: Sequence[PanelRow]) -> Iterator[dict[str, Any]]:
    top = 0
    for row in rows:
        header = {"title": row.title, "sectionHeader": {"dividerBelow": True}}
        yield _tile(0, top, _COLUMNS, _HEADER, header)
        top += _HEADER
        width = _COLUMNS // len(row.panels)
        for at, panel in enumerate(row.panels):
            yield _tile(at * width, top, width, _HEIGHT, _widget(panel))
        top += _HEIGHT


def _tile(x: int, y: int, width: int, height: int, widget: dict[str, Any]) -> dict[str, Any]:
    # The API leaves out zeros, as its definition has them.
    place = {name: value for name, value in (("xPos", x), ("yPos", y)) if value}
    return {**place, "width": width, "height": height, "widget": widget}


def _widget(panel: Panel) -> dict[str, Any]:
    if panel.kind == NUMBER and not any(query.labels for query in panel.queries):
        return {"title": panel.title, "scorecard": {"timeSeriesQuery": _query(panel.queries[0], panel)}}
    thresholds = [] if panel.limit is None else [{"value": panel.limit}]
    return {
        "title": panel.title,
        "xyChart": {
            "dataSets": [
                {
                    "timeSeriesQuery": _query(query, panel),
                    "plotType": "LINE" if panel.kind == LINES else "STACKED_BAR",
                    "legendTemplate": " ".join(f"${{metric.labels.{label}}}" for label in query.labels),
                }
                for query in panel.queries
            ],
            "thresholds": thresholds,
        },
    }


def _query(query: Query, panel: Panel) -> dict[str, Any]:
    unit = _UNITS.get(panel.unit)
    return {"prometheusQuery": query.expression, **({"unitOverride": unit} if unit else {})}
