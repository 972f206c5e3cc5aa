"""Templates of Dataflow: pipelines that others than the program that builds them start.

A classic template is built once and started any number of times: its jobs are no runs of the program that
builds it, and share the one folder that was written into it. The launcher of a Flex template builds the
pipeline for one job, with the same option, and the service then starts that job.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from apache_beam.options.pipeline_options import GoogleCloudOptions

DATAFLOW = ("DataflowRunner", "TestDataflowRunner")
"""Names of the runners whose jobs Dataflow runs."""

_OF_FLEX = re.compile(r".*/template_launches/(?:([^/]+)/)?job_object")
"""Where the launcher of Flex templates has the job written; the folder is named by the job's id."""


class Template(NamedTuple):
    """A file that a pipeline is written to in place of being started.

    Args:
      location: the file.
      is_flex: whether the launcher of a Flex template asked for it, so that one job comes of it at once.
      job_id: id of that job, where the location tells it.
    """

    location: str
    is_flex: bool = False
    job_id: str | None = None


def template_of(runner: Any, options: Any) -> Template | None:
    """Returns the template that a pipeline is written to; None where it is started.

    Args:
      runner: the pipeline's runner.
      options: its options.
    """
    if type(runner).__name__ not in DATAFLOW:
        return None
    location = options.view_as(GoogleCloudOptions).template_location
    if not location:
        return None
    flex = _OF_FLEX.fullmatch(str(location))
    return Template(str(location), flex is not None, flex[1] if flex is not None else None)
