"""Options with which Dataflow's runner needs no Google Cloud: a server of this machine, and folders."""

from __future__ import annotations

import pathlib
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

PROJECT, REGION = "project", "us-central1"
NOBODY = "http://localhost:1"


def offline_options(
    folder: pathlib.Path, endpoint: str = "http://localhost:1", **more: Any
) -> PipelineOptions:
    """Returns them.

    Args:
      folder: for what is staged.
      endpoint: of the server; by default of none, for a template that starts nothing.
      more: options beside them.
    """
    for name in ("staging", "temp"):
        (folder / name).mkdir(exist_ok=True)
    return PipelineOptions(
        project=PROJECT,
        region=REGION,
        staging_location=str(folder / "staging"),
        temp_location=str(folder / "temp"),
        dataflow_endpoint=endpoint,
        no_auth=True,
        sdk_location="container",
        **more,
    )
