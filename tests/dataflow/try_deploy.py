"""Dataflow on this machine, to type the commands of docs/deploy.md: `python -m tests.dataflow.try_deploy`.

It speaks Dataflow's API as tests have it, until it is interrupted. A job that is launched has its program
build a small pipeline, whose run is in the store, and ends well after it was asked for some times. Before
`gcloud` and `beam-obs` on the path stand commands that ask nobody else: a folder is the bucket, and what
gcloud would ask is noted.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shlex
import sys
import tempfile
import threading
from typing import Any

from tests import dataflow_server
from tests.dataflow.small_template import launcher
from tests.dataflow_server import DataflowServer, State, user

PROJECT = pathlib.Path(__file__).parents[2]
ID = "sky-flights"
"""The project of Google Cloud that the page has."""
IMAGE = f"europe-west1-docker.pkg.dev/{ID}/beam-obs/flights@sha256:" + "0" * 64
_BUCKET = f"{ID}-beam-obs"
_COMMANDS = {
    "beam-obs": 'PYTHONPATH={project} exec {python} -m tests.dataflow.deploy_command {folder} {url} "$@"',
    "python": 'exec {python} "$@"',
    "gcloud": """printf '%q ' "$@" >> {folder}/gcloud.txt; echo >> {folder}/gcloud.txt
[ "$1 $2" != "storage cat" ] || cat "{folder}/${{3#gs://}}"
case "$*" in *" describe "*) exit 1 ;; esac""",
}


def prepare(server: DataflowServer, folder: pathlib.Path) -> dict[str, str]:
    """Lets a server launch jobs of the pipeline flights whose template and store are in a folder.

    Args:
      server: of Dataflow's API.
      folder: for the bucket, and for the commands.

    Returns:
      variables with which the commands of the page can be typed.
    """
    serve(server, folder / _BUCKET)
    spec = json.loads((PROJECT / "templates" / "flights-batch" / "spec.json").read_text())
    template = folder / _BUCKET / "templates" / "flights.json"
    template.parent.mkdir(parents=True)
    # As the build leaves it.
    template.write_text(json.dumps({"image": IMAGE, **spec}))
    commands = folder / "bin"
    commands.mkdir()
    for name, text in _COMMANDS.items():
        file = commands / name
        file.write_text(
            "#!/bin/bash\n"
            + text.format(project=PROJECT, python=shlex.quote(sys.executable), folder=folder, url=server.url)
            + "\n"
        )
        file.chmod(0o755)
    return {"PATH": f"{commands}:{os.environ['PATH']}"}


def serve(server: DataflowServer, bucket: pathlib.Path) -> None:
    """Lets a server launch jobs of the pipeline flights, whose store is in the folder of a bucket."""
    server.projects = {ID}
    server.states_of_new = [*[State.JOB_STATE_RUNNING] * 3, State.JOB_STATE_DONE]
    launch = launcher(bucket, server, "flights", str(bucket / "store"))

    def launched(job: Any) -> None:
        launch(job)
        counts = [
            user(counter, 2.0, f"{step}/Observed", namespace="beam_obs")
            for step in ("read", "parse")
            for counter in ("in", "out")
        ]
        server.count(job.id, counts)

    server.on_launch = launched


def main() -> int:
    """Runs it; says what to type before the commands of the page."""
    with tempfile.TemporaryDirectory() as name, dataflow_server.running() as server:
        variables = prepare(server, pathlib.Path(name))
        for variable, value in variables.items():
            print(f"export {variable}={shlex.quote(value)}")
        print(
            f"What gcloud is asked is noted in {name}/gcloud.txt; the bucket is {name}/{_BUCKET}", flush=True
        )
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
