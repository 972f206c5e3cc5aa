"""The fields of the Flink operator's FlinkDeployment that our manifest uses, and no others.

https://nightlies.apache.org/flink/flink-kubernetes-operator-docs-main/ has them all.
"""

from __future__ import annotations

from typing import Any

_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_MEMORY = {"type": "string", "pattern": r"^\d+(\.\d+)?[kmgt]$"}
"""As Flink writes sizes, of which ``m`` are mebibytes."""


def _object(needed: list[str], **fields: Any) -> dict[str, Any]:
    return {"type": "object", "required": needed, "properties": fields, "additionalProperties": False}


_RESOURCE = _object(["cpu", "memory"], cpu={"type": "number", "exclusiveMinimum": 0}, memory=_MEMORY)

FLINK_DEPLOYMENT = _object(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "flink.apache.org/v1beta1"},
    kind={"const": "FlinkDeployment"},
    metadata=_object(["name"], name={"type": "string", "pattern": "^[a-z]([-a-z0-9]{0,43}[a-z0-9])?$"}),
    spec=_object(
        ["image", "flinkVersion", "serviceAccount", "jobManager", "taskManager"],
        image=_TEXT,
        flinkVersion={"enum": [f"v1_{minor}" for minor in range(15, 21)] + ["v2_0", "v2_1"]},
        serviceAccount=_TEXT,
        flinkConfiguration={"type": "object", "additionalProperties": _TEXT},
        jobManager=_object(["resource"], resource=_RESOURCE),
        taskManager=_object(
            ["resource"],
            resource=_RESOURCE,
            replicas={"type": "integer", "minimum": 1},
            podTemplate={"type": "object", "required": ["spec"]},
        ),
    ),
)
"""A JSON Schema; its pod is a built-in kind, and held against that."""
