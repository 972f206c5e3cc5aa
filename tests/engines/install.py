"""Installs what tests on real engines need, once, into a cache that every clone of this machine shares.

    python -m tests.engines.install             what is not there yet
    python -m tests.engines.install --remove    takes away what it installed

The cache is `$BEAM_OBS_CACHE`, else `beam_obs` in `$XDG_CACHE_HOME`, else in `~/.cache`. Each engine has a
folder there named by its version, which is there only when it is whole. Needs nothing but Python, so that it
runs before an environment is set up; what an engine takes (Go, Maven, npm) and is missing is said, and its
tests are skipped. Prometheus and what belongs to it are Debian's packages, which apt installs where it can.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import NamedTuple

from tests.install_by_apt import install_by_apt

_PROJECT = pathlib.Path(__file__).parents[2]
_POM = pathlib.Path(__file__).parent / "flink" / "pom.xml"
_COLLECTOR = pathlib.Path(__file__).parent / "collector.yaml"


class Engine(NamedTuple):
    """Something that is installed.

    Args:
      title: as messages call it.
      folder: its name in the cache, with the version.
      tool: the program that installs it.
      command: what is run for it, given the folder to fill.
      environment: variables of that command, given the same.
    """

    title: str
    folder: str
    tool: str
    command: Callable[[pathlib.Path], list[str]]
    environment: Callable[[pathlib.Path], dict[str, str]] = lambda _: {}

    @property
    def path(self) -> pathlib.Path:
        """The folder that holds it, if it is installed."""
        return cache() / "engines" / self.folder

    def install(self) -> bool:
        """Installs it where it is not; returns whether it is there."""
        if self.path.is_dir():
            return True
        if shutil.which(self.tool) is None:
            print(f"{self.tool} is not installed: tests on {self.title} are skipped")
            return False
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Filled beside its place and moved there, so that another clone never sees half of it.
        with tempfile.TemporaryDirectory(dir=self.path.parent, prefix=".filling-") as parent:
            filled = pathlib.Path(parent) / self.folder
            filled.mkdir()
            done = subprocess.run(
                self.command(filled), env={**os.environ, **self.environment(filled)}, check=False
            )
            if done.returncode != 0:
                print(f"{self.title} could not be installed: tests on it are skipped")
                return False
            try:
                filled.rename(self.path)
            except OSError:
                # Another clone was first.
                return self.path.is_dir()
        print(f"installed {self.path}")
        return True


def cache() -> pathlib.Path:
    """Returns the folder in which clones of this project keep what is costly to fetch."""
    if own := os.environ.get("BEAM_OBS_CACHE"):
        return pathlib.Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification of that variable: a relative path is to be ignored.
    return (pathlib.Path(base) if os.path.isabs(base) else pathlib.Path.home() / ".cache") / "beam_obs"


def _version_of_beam() -> str:
    locked = re.search(r"^apache-beam==(\S+)", (_PROJECT / "requirements-dev.lock").read_text(), re.M)
    assert locked is not None
    return locked[1]


def _by_go(title: str, name: str, module: str, version: str) -> Engine:
    return Engine(
        title,
        f"{name}-{version}",
        "go",
        lambda _: ["go", "install", f"{module}@v{version}"],
        lambda folder: {"GOBIN": str(folder)},
    )


def _by_go_build(title: str, name: str, module: str, package: str, version: str) -> Engine:
    """Builds a program whose module replaces others, which `go install` refuses, in a module around it."""
    steps = f"""set -e
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cd "$build"
go mod init example.org/{name}
go get -tool {module}/{package}@v{version}
go build -o "$GOBIN/{name}" {module}/{package}
"""
    return Engine(
        title,
        f"{name}-{version}",
        "go",
        lambda _: ["sh", "-c", steps],
        lambda folder: {"GOBIN": str(folder)},
    )


def _by_maven(title: str, pom: pathlib.Path) -> Engine:
    """Installs all that a pom depends on; its own version names the folder."""
    name, version = re.findall(r"^  <(?:artifactId|version)>(.+)</", pom.read_text(), re.M)
    batch = ["mvn", "--quiet", "--batch-mode", "--file", str(pom)]
    return Engine(
        title,
        f"{name}-{version}",
        "mvn",
        lambda folder: [*batch, "dependency:copy-dependencies", f"-DoutputDirectory={folder}"],
    )


def _by_npm(title: str, name: str, version: str, *beside: str) -> Engine:
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional", "--loglevel=error"]
    return Engine(
        title,
        f"{name.lstrip('@').replace('/', '-')}-{version}",
        "npm",
        lambda folder: ["npm", "install", *quiet, "--prefix", str(folder), f"{name}@{version}", *beside],
    )


def _collector(parts: pathlib.Path) -> Engine:
    """Builds an OpenTelemetry Collector, of which there is none with all that the tests need."""
    version = re.findall(r"^  version: (.+)$", parts.read_text(), re.M)[0]
    steps = f"""set -e
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cd "$build"
go run go.opentelemetry.io/collector/cmd/builder@v{version} --config "{parts}" --skip-strict-versioning
mv otelcol "$GOBIN"
"""
    return Engine(
        "OpenTelemetry Collector",
        f"otelcol-{version}",
        "go",
        lambda _: ["sh", "-c", steps],
        # One after the other: else the compilers take more memory than some machines have.
        lambda folder: {"GOBIN": str(folder), "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -p=1".strip()},
    )


PRISM = _by_go("Prism", "prism", "github.com/apache/beam/sdks/v2/go/cmd/prism", _version_of_beam())
FAKE_GCS = _by_go("gs://", "fake-gcs-server", "github.com/fsouza/fake-gcs-server", "1.56.1")
FLINK = _by_maven("Flink", _POM)
COLLECTOR = _collector(_COLLECTOR)
STATSD = _by_npm("StatsD", "statsd", "0.9.0")
# The newest TypeScript that is JavaScript itself, and no program for one system.
GRAFANA_SCHEMA = _by_npm("Grafana's schema", "@grafana/schema", "13.2.3", "typescript@5.9.3")
JAEGER = _by_go_build("Jaeger", "jaeger", "github.com/jaegertracing/jaeger", "cmd/all-in-one", "1.76.0")
PROMETHEUS = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-pushgateway": "prometheus-pushgateway",
    "prometheus-alertmanager": "prometheus-alertmanager",
}
"""Debian's packages by their programs."""

NAGIOS = {"/usr/lib/nagios/plugins/negate": "monitoring-plugins-basic"}
"""A plugin that wraps others."""

ENGINES = (PRISM, FAKE_GCS, FLINK, COLLECTOR, STATSD, JAEGER, GRAFANA_SCHEMA)


def program(engine: Engine, name: str) -> str | None:
    """Returns the path of an engine's program, from the cache or else from PATH; None where there is none."""
    return shutil.which(name, path=f"{engine.path}{os.pathsep}{os.environ.get('PATH', '')}")


def main(arguments: list[str]) -> int:
    """Installs all engines, or removes them; returns 0, as what is missing only leaves tests out."""
    if arguments == ["--remove"]:
        # Not the cache itself: a variable that names another folder must not cost what else is there.
        shutil.rmtree(cache() / "engines", ignore_errors=True)
        return 0
    if arguments:
        print(__doc__)
        return 2
    # First: nobody else may use apt meanwhile.
    install_by_apt("Prometheus", PROMETHEUS)
    install_by_apt("Nagios' negate", NAGIOS)
    for engine in ENGINES:
        engine.install()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
