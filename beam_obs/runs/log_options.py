"""How log records of user code are treated, as the options of a pipeline say."""

from __future__ import annotations

import os
from typing import Any

from apache_beam.options.pipeline_options import GoogleCloudOptions

from beam_obs.logs.otlp_logs import check_otlp_logs
from beam_obs.records.log_settings import JSON, OFF, OTLP, LogSettings
from beam_obs.runs.options import RunSettings
from beam_obs.traces.otlp_sender import LINES, check_protocol


def log_settings(settings: RunSettings, options: Any) -> LogSettings | None:
    """Returns how log records are treated; None where they are left alone.

    Args:
      settings: of the run.
      options: of the pipeline: they may tell a project of Google Cloud.

    Raises:
      MissingExtra: log records are to be sent by OTLP, and the ``otel`` extra is not installed.
      UsageError: the standard variables ask for a protocol that there is no exporter for.
    """
    if settings.logs == OFF:
        return None
    if settings.logs == OTLP:
        check_otlp_logs()
        check_protocol(LINES)
    # Beam parses all options of Google Cloud for the one, a millisecond and a half.
    project = options.view_as(GoogleCloudOptions).project if settings.logs == JSON else None
    project = project or os.environ.get("GOOGLE_CLOUD_PROJECT", "")
    return LogSettings(settings.logs, settings.logs_per_line, str(project))
