"""Prometheus and its Pushgateway, as Debian has them, on free ports of this machine."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import yaml

from tests.engines.install import PROMETHEUS
from tests.engines.object_stores import free_port
from tests.install_by_apt import apt_command
from tests.patience import PATIENCE_SECONDS


def installed(program: str) -> str:
    """Returns the path of a program of Prometheus'; skips the test where it is not installed."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed: {apt_command(PROMETHEUS[program])}")
    return found


class Prometheus(NamedTuple):
    """A Prometheus that runs.

    Args:
      address: of its pages and its API, without a slash at the end.
    """

    address: str

    def api(self, path: str, **parameters: Any) -> Any:
        """Returns the data that its API answers."""
        asked = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.address}/api/v1/{path}?{asked}", timeout=30) as answer:
            told = json.load(answer)
        assert told["status"] == "success"
        return told["data"]

    def values(self, query: str) -> dict[tuple[str, ...], float]:
        """Returns what a query gives now, by the values of the labels that it leaves, sorted by name."""
        return {
            tuple(text for name, text in sorted(one["metric"].items()) if name != "__name__"): float(
                one["value"][1]
            )
            for one in self.api("query", query=query)["result"]
        }

    def value(self, query: str) -> float | None:
        """Returns the one number that a query gives now; None where it gives none."""
        found = self.values(query)
        assert len(found) <= 1, found
        return next(iter(found.values()), None)

    def wait_for(self, query: str, condition: Callable[[float | None], bool]) -> float | None:
        """Asks until the one number that a query gives meets a condition, and returns it."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not condition(found := self.value(query)):
            assert time.monotonic() < until, f"{query} is {found}"
            time.sleep(0.1)
        return found


@contextlib.contextmanager
def prometheus(
    folder: pathlib.Path, ports: dict[str, int], more: dict[str, Any] | None = None
) -> Iterator[Prometheus]:
    """Runs a Prometheus, which scrapes each second.

    Args:
      folder: where it keeps what it has.
      ports: of this machine, that it scrapes, by name of the job.
      more: of its configuration.
    """
    program = installed("prometheus")
    jobs = [
        {
            "job_name": name,
            "honor_labels": True,
            "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
        }
        for name, port in ports.items()
    ]
    times = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings = folder / "prometheus.yml"
    settings.write_text(yaml.safe_dump({"global": times, "scrape_configs": jobs, **(more or {})}))
    address = f"127.0.0.1:{free_port()}"
    command = [
        program,
        f"--config.file={settings}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
    ]
    with running(command, f"http://{address}/-/ready"):
        yield Prometheus(f"http://{address}")


@contextlib.contextmanager
def pushgateway() -> Iterator[int]:
    """Runs a Pushgateway; gives its port."""
    port = free_port()
    command = [installed("prometheus-pushgateway"), f"--web.listen-address=127.0.0.1:{port}"]
    with running([*command, "--log.level=warn", "--persistence.file="], f"http://127.0.0.1:{port}/-/ready"):
        yield port


@contextlib.contextmanager
def running(command: list[str], ready: str) -> Iterator[None]:
    """Runs a server until the block ends.

    Args:
      command: that starts it.
      ready: address that answers when it is.
    """
    process = subprocess.Popen(command)
    try:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            assert process.poll() is None, f"{command[0]} has ended"
            assert time.monotonic() < until, f"{command[0]} is not ready"
            with contextlib.suppress(OSError), urllib.request.urlopen(ready, timeout=5):
                break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def check_metrics(text: str) -> str:
    """Returns what promtool has to say against a text of metrics."""
    command = [installed("promtool"), "check", "metrics"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False).stderr
