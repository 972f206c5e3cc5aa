"""`beam-obs` as it is typed in `try_deploy`: a folder is gs://, a server on this machine is Dataflow."""

from __future__ import annotations

import sys

from beam_obs.cli.main import exit_code
from beam_obs.exporters.targets import TARGETS
from beam_obs.runs import watched_job, watcher
from beam_obs.store import folder as folders


def main(folder: str, url: str, *given: str) -> int:
    """Runs the command, and returns its exit code."""
    vars(folders).update(is_local=lambda uri: True, local_path=lambda uri: uri.replace("gs://", f"{folder}/"))
    for module in (watched_job, watcher):
        vars(module).update(LIVE_SECONDS=0.2)
    # Cloud Monitoring is a file.
    lines = f"{folder}/cloud_monitoring.jsonl"
    TARGETS["cloud_monitoring"] = TARGETS["cloud_monitoring"]._replace(
        load=lambda: lambda project: TARGETS["json_lines"].load()(lines)
    )
    place = ["--endpoint", url] if given[0] in ("launch", "watch") else []
    return exit_code([*given, *place])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
