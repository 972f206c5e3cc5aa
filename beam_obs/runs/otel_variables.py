"""What the standard variables of OpenTelemetry ask for, where no option of ours says it.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping

NUMBERS, LOGS = "METRICS", "LOGS"
"""Signals, as the variables name them."""

_BY_SDK = "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED"


def asks_for(signal: str, variables: Mapping[str, str] = os.environ) -> bool:
    """Returns whether the variables have a signal sent by OTLP, and say where to.

    `opentelemetry-instrument` sets the exporter of each to OTLP, so that the address decides. Log records
    that the SDK itself sends are not sent twice.

    Args:
      signal: `NUMBERS` or `LOGS`.
      variables: of the environment.

    >>> address = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}
    >>> asks_for(NUMBERS, {"OTEL_METRICS_EXPORTER": "otlp", **address}), asks_for(NUMBERS, address)
    (True, False)
    """
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if signal == LOGS and variables.get(_BY_SDK, "").lower() == "true":
        return False
    exporters = [name.strip() for name in variables.get(f"OTEL_{signal}_EXPORTER", "").split(",")]
    has_address = any(
        variables.get(f"OTEL_EXPORTER_OTLP_{name}") for name in ("ENDPOINT", f"{signal}_ENDPOINT")
    )
    return has_address and any(name.startswith("otlp") for name in exporters) and _is_installed()


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False
