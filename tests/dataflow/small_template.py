"""A small pipeline that is launched from a template, by the real runner of Dataflow."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import apache_beam as beam

import beam_obs as obs
from tests.dataflow_server import DataflowServer
from tests.offline_dataflow import offline_options


def build(folder: pathlib.Path, endpoint: str, name: str = "nightly", **more: Any) -> Any:
    """Builds a pipeline for Dataflow, as a program does, and hands it over."""
    options = offline_options(folder, endpoint, obs_store_shared=True, obs_report="off", **more)
    p = obs.Pipeline("DataflowRunner", options=options, name=name)
    (folder / "in.txt").write_text("1\nx\n")
    _ = p | "read" >> obs.ReadFromText(str(folder / "in.txt")) | "parse" >> obs.Stage(beam.Map(int))
    return p.run()


def launcher(
    folder: pathlib.Path, server: DataflowServer, name: str = "nightly", store: str | None = None
) -> Callable[[Any], None]:
    """Returns what the service does of a flex template: it has the program write the job, and starts that.

    Args:
      folder: for what is staged.
      server: of Dataflow's API.
      name: of the pipeline.
      store: by default in the folder.
    """

    def launch(job: Any) -> None:
        file = folder / "template_launches" / job.id / "job_object"
        file.parent.mkdir(parents=True)
        build(folder, server.url, name, template_location=str(file), obs_store=store or str(folder / "store"))
        job.labels = json.loads(file.read_text())["labels"]

    return launch
