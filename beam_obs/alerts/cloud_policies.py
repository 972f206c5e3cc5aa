"""Rules as alerting policies of Google Cloud Monitoring, one for each.

https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from beam_obs.alerts.rules import CRITICAL, Rule, Rules
from beam_obs.records.wording import clean

_EVERY_SECONDS = 60
_MOST_NAME = 512
_SEVERITIES: Mapping[str, str] = {CRITICAL: "CRITICAL"}


def cloud_policies(rules: Rules) -> list[dict[str, Any]]:
    """Returns the policies as JSON-able values, as ``AlertPolicy`` has them."""
    return [_policy(rules.pipeline, rule) for rule in rules.made]


def _policy(pipeline: str, rule: Rule) -> dict[str, Any]:
    group = clean(f"beam_obs {pipeline}")
    return {
        "displayName": f"{group}/{rule.name}"[:_MOST_NAME],
        "severity": _SEVERITIES.get(rule.severity, "WARNING"),
        "combiner": "OR",
        "conditions": [
            {
                "displayName": rule.summary[:_MOST_NAME],
                "conditionPrometheusQueryLanguage": {
                    "query": rule.expression,
                    "duration": f"{rule.held_seconds:.0f}s",
                    "evaluationInterval": f"{_EVERY_SECONDS}s",
                    "ruleGroup": group,
                    "alertRule": rule.name,
                    # A project has a metric once a run has told of it.
                    "disableMetricValidation": True,
                },
            }
        ],
        "documentation": {
            "mimeType": "text/markdown",
            "content": f"{rule.summary}\n\n{rule.reason}\n\n    {clean(rule.command)}",
        },
    }
