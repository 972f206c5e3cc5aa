"""Where numbers can be sent: the table from which the options of pipelines, of commands and of the file of
settings are made."""

from __future__ import annotations

import difflib
import importlib
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from beam_obs.records.errors import UsageError
from beam_obs.store.configuration import Configuration

if TYPE_CHECKING:
    from beam_obs.exporters.exporter_group import NamedExporter


ON = "on"
"""Text of a target that the variables of the environment say all of."""

_CONTRACT = "beam_obs.exporters.sending.Destination"

_PROJECT = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]|[0-9]+")
"""Ids of projects, also those of a domain, and their numbers."""

_NUMBER_OF_PORT = "[1-5]?[0-9]{1,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
_PORT = f"([^/]*:)?({_NUMBER_OF_PORT})"
_SERVER = f"([^/]*:)?([1-9][0-9]{{0,3}}|[1-5][0-9]{{4}}|{_NUMBER_OF_PORT.partition('|')[2]})"
_ADDRESS = r"https?://([^/?#@\s]*@)?([^\[/?#@:\s]+|\[[0-9a-fA-F:.]+\])(:[0-9]*)?([/?#]\S*)?"
_PATH = r"[^:]*[^:\s][^:]*"
_CLASS = r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*"


class Target(NamedTuple):
    """A kind of place that numbers can be sent to.

    Args:
      metavar: what says where it is, as options show it.
      help: what is sent to it, as options say it.
      check: returns that text as it is to be taken.
      pattern: what texts look like that it takes, in a form that all engines of regular expressions know.
      load: imports what it needs, and returns what makes its exporter of the text.

    `check` raises ValueError with what is expected, `load` MissingExtra.
    """

    metavar: str
    help: str
    check: Callable[[str], str]
    pattern: str
    load: Callable[[], Callable[[str], NamedExporter]]


def host_and_port(text: str, default_host: str = "127.0.0.1") -> tuple[str, int]:
    """Returns the parts of ``HOST:PORT``, ``[ADDRESS]:PORT`` or ``PORT``.

    Raises:
      ValueError: it is none of them.

    >>> host_and_port("9464"), host_and_port("0.0.0.0:9464"), host_and_port("[::1]:1")
    (('127.0.0.1', 9464), ('0.0.0.0', 9464), ('::1', 1))
    """
    host, _, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or default_host
    if not port.isdecimal() or not port.isascii() or int(port) > 65_535 or "/" in host:
        raise ValueError(f"found {text!r}, expected a port or HOST:PORT, e.g. 9464 or 0.0.0.0:9464")
    return host, int(port)


def http_address(text: str, example: str = "http://localhost:9091") -> str:
    """Returns an address of HTTP without the slash at its end.

    Args:
      text: the address.
      example: of one, for who gives another.

    Raises:
      ValueError: it is none.

    >>> http_address("http://localhost:9091/")
    'http://localhost:9091'
    """
    parts = urllib.parse.urlsplit(text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"found {text!r}, expected an address, e.g. {example}")
    return text.strip().rstrip("/")


def _port(text: str) -> str:
    host_and_port(text)
    return text.strip()


def _server(text: str) -> str:
    try:
        _, port = host_and_port(text)
    except ValueError:
        port = 0
    if not port:
        raise ValueError(f"found {text!r}, expected HOST:PORT, e.g. localhost:8125")
    return text.strip()


def _receiver(text: str) -> str:
    return text if text == ON else http_address(text, "http://localhost:4318")


def _folder(text: str) -> str:
    if not text.strip() or "://" in text:
        raise ValueError(f"found {text!r}, expected a folder of this machine")
    return text


def _file(text: str) -> str:
    if not text.strip() or "://" in text:
        raise ValueError(f"found {text!r}, expected a file of this machine, or - for standard output")
    return text


def _project(text: str) -> str:
    if _PROJECT.fullmatch(text.strip()) is None:
        raise ValueError(f"found {text!r}, expected the id of a project of Google Cloud, e.g. my-project")
    return text.strip()


def _destination(text: str) -> str:
    made = _imported(text)
    lacking = [name for name in ("send", "close") if not callable(getattr(made, name, None))]
    if lacking:
        raise ValueError(f"found {text!r}, which has no {' and no '.join(lacking)}: see {_CONTRACT}")
    return text.strip()


def _imported(text: str) -> Any:
    module, _, name = text.strip().partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"found {text!r}, expected MODULE:CLASS that can be imported: {error}") from None


def _prometheus_port() -> Callable[[str], NamedExporter]:
    from beam_obs.exporters.prometheus_port import PrometheusPort

    return PrometheusPort


def _sender(module: str, destination: str) -> Callable[[], Callable[[str], NamedExporter]]:
    """Returns what loads a destination, by its module in this room and its class."""

    def load() -> Callable[[str], NamedExporter]:
        from beam_obs.exporters.sending import SendingExporter

        made = getattr(importlib.import_module(f"beam_obs.exporters.{module}"), destination)
        return lambda text: SendingExporter(made(text))

    return load


def _own_sender() -> Callable[[str], NamedExporter]:
    from beam_obs.exporters.sending import SendingExporter

    return lambda text: SendingExporter(_imported(text)())


TARGETS: dict[str, Target] = {
    "prometheus_port": Target(
        "PORT",
        "Port of this machine that Prometheus scrapes; HOST:PORT to listen elsewhere than on 127.0.0.1, "
        "0: any that is free",
        _port,
        _PORT,
        _prometheus_port,
    ),
    "pushgateway": Target(
        "URL",
        "Pushgateway that gets the numbers of a run at its end, grouped by pipeline",
        http_address,
        _ADDRESS,
        _sender("pushgateway", "Pushgateway"),
    ),
    "textfile": Target(
        "FOLDER",
        "Folder of node_exporter's textfile collector, for files *.prom",
        _folder,
        _PATH,
        _sender("textfile", "Textfile"),
    ),
    "cloud_monitoring": Target(
        "PROJECT",
        "Project of Google Cloud whose Cloud Monitoring gets the numbers",
        _project,
        _PROJECT.pattern,
        _sender("cloud_monitoring", "CloudMonitoring"),
    ),
    "otlp": Target(
        "URL",
        f"Receiver of OTLP that gets the numbers; {ON}: the one that OTEL_EXPORTER_OTLP_ENDPOINT names",
        _receiver,
        f"{ON}|{_ADDRESS}",
        _sender("otlp", "Otlp"),
    ),
    "statsd": Target(
        "HOST:PORT",
        "StatsD server that gets the numbers by UDP, with tags as DogStatsD has them",
        _server,
        _SERVER,
        _sender("statsd", "Statsd"),
    ),
    "json_lines": Target(
        "FILE",
        "File that gets a line of JSON for each number; - for standard output",
        _file,
        _PATH,
        _sender("json_lines", "JsonNumbers"),
    ),
    "destination": Target(
        "MODULE:CLASS",
        f"Class of yours that sends the numbers: see {_CONTRACT}",
        _destination,
        _CLASS,
        _own_sender,
    ),
}
"""By name: that of the option (``--obs_NAME`` of a pipeline) and of the setting in ``[exporters]``."""


OFF = "off"
"""Text of a target: nothing is sent there, whatever the file of settings says."""


def chosen_targets(
    options: Mapping[str, str | None], configuration: Configuration, written: str
) -> dict[str, str]:
    """Returns where numbers are to be sent, as options say it, and else the file of settings.

    Makes sure that what each target needs is installed.

    Args:
      options: the text of each option by the name of its target; None where it was not given.
      configuration: what the file of settings says.
      written: how an option is written, with ``{}`` for the name.

    Raises:
      UsageError: there is no such target, or what is said of it is wrong.
      MissingExtra: what a target needs is not installed.
    """
    for name in configuration.exporters:
        if name not in TARGETS:
            near = difflib.get_close_matches(name, TARGETS, 1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(TARGETS)}"
            raise UsageError(f"{configuration.path} has an exporter {name!r}, which does not exist; {meant}")
    chosen: dict[str, str] = {}
    for name, target in TARGETS.items():
        option = options.get(name)
        text = configuration.exporters.get(name) if option is None else option
        if text is None or text == OFF:
            continue
        try:
            chosen[name] = target.check(str(text))
        except ValueError as error:
            where = written.format(name) if option is not None else f"{configuration.path}: exporters.{name}"
            raise UsageError(f"{where}: {error}") from None
        target.load()
    return chosen
