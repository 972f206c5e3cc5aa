"""Whether the workers of a runner can reach a store, and whether a job outlives the program that launched it.

Only what is known to fail is refused: an unknown runner is taken to run on this machine.
"""

from __future__ import annotations

import re
from typing import Any

from apache_beam.options.pipeline_options import FlinkRunnerOptions, PortableOptions, SparkRunnerOptions

from beam_obs.records.errors import BeamObsError
from beam_obs.store.store import Store

_REMOTE = ("DataflowRunner", "TestDataflowRunner", "KafkaStreamsRunner")
_PORTABLE = ("PortableRunner", "FlinkRunner", "SparkRunner", "PrismRunner")
_STARTED_HERE = re.compile(r"\[local\]|\[auto\]|local(\[.+\])?|embed")
"""Masters and endpoints that a runner starts itself, on this machine."""

_THIS_MACHINE = ("localhost", "127.", "[::1]", "0.0.0.0", "[local]", "[auto]")


class StoreOutOfReach(BeamObsError):
    """The workers of the chosen runner cannot reach the store.

    Args:
      store: the store's root, a local folder.
      runner: name of the runner.
      reason: where its workers run, and what to write instead.
    """

    def __init__(self, store: str, runner: str, reason: str) -> None:
        super().__init__(f"the store {store!r} is a folder of this machine, but {runner} {reason}")
        self.store = store
        self.runner = runner


def check_reach(store: Store, runner: Any, options: Any, is_shared: bool = False) -> None:
    """Makes sure that the workers of `runner` can write to `store`.

    Args:
      store: the store.
      runner: the pipeline's runner.
      options: the pipeline's options.
      is_shared: whether the user says that all workers see the store's folder.

    Raises:
      StoreOutOfReach: they run elsewhere, and the store is a local folder.
    """
    if not store.local or is_shared:
        return
    name = type(runner).__name__
    shared = (
        "write --obs_store=gs://BUCKET/FOLDER, or another filesystem that its workers reach; where they see "
        "this folder at the same path, add --obs_store_shared"
    )
    if name in _REMOTE:
        raise StoreOutOfReach(store.uri, name, f"runs its workers on other machines: {shared}")
    if name not in _PORTABLE:
        return
    environment, config = _environment(name, options)
    if environment == "DOCKER":
        raise StoreOutOfReach(
            store.uri,
            name,
            f"runs its workers in containers (DOCKER): {shared}, or use --environment_type=LOOPBACK",
        )
    if environment == "EXTERNAL" and not _is_here(config):
        raise StoreOutOfReach(store.uri, name, f"runs its workers at {config!r} (EXTERNAL): {shared}")
    if environment == "PROCESS" and not _is_here(_endpoint(name, options)):
        raise StoreOutOfReach(
            store.uri, name, f"runs its workers at {_endpoint(name, options)!r} (PROCESS): {shared}"
        )


def outlives_launcher(runner: Any, options: Any) -> bool:
    """Whether a job goes on when the program that launched it ends."""
    name = type(runner).__name__
    if name in _REMOTE:
        return True
    if name not in ("PortableRunner", "FlinkRunner", "SparkRunner"):
        return False
    environment, _ = _environment(name, options)
    return environment != "LOOPBACK" and _STARTED_HERE.fullmatch(_endpoint(name, options)) is None


def _environment(runner: str, options: Any) -> tuple[str, str]:
    """Returns the type of a portable runner's environment as that runner fills it in, and its address."""
    portable = options.view_as(PortableOptions)
    environment = portable.environment_type
    config = portable.environment_config or ""
    if not environment:
        here = runner == "PrismRunner" or _STARTED_HERE.fullmatch(_endpoint(runner, options)) is not None
        environment = "LOOPBACK" if here else "DOCKER"
    environment = {"beam:env:docker:v1": "DOCKER", "beam:env:external:v1": "EXTERNAL"}.get(
        environment, environment
    )
    for option in portable.environment_options or []:
        if str(option).startswith("external_service_address="):
            config = str(option).partition("=")[2]
    return str(environment).upper(), str(config)


def _endpoint(runner: str, options: Any) -> str:
    if runner == "FlinkRunner":
        return str(options.view_as(FlinkRunnerOptions).flink_master)
    if runner == "SparkRunner":
        return str(options.view_as(SparkRunnerOptions).spark_master_url)
    return str(options.view_as(PortableOptions).job_endpoint or "")


def _is_here(address: str) -> bool:
    host = address.rpartition("://")[2]
    return not host or host.startswith(_THIS_MACHINE)
