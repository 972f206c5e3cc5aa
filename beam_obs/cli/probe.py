"""`beam-obs probe`: the continuous test that asks an address, and holds its answer against expectations."""

from __future__ import annotations

import itertools
import json
import pathlib
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator

import click

from beam_obs.alerts.expectation import Expectation
from beam_obs.alerts.probe import Attempt, Probe
from beam_obs.alerts.probe_counters import ProbeCounters
from beam_obs.cli.shared_options import json_option, parsed_by
from beam_obs.exporters.targets import host_and_port
from beam_obs.files.new_file import write_new_file
from beam_obs.records.duration import parse_duration
from beam_obs.records.errors import UsageError
from beam_obs.records.number_text import counted
from beam_obs.records.wording import microseconds_text
from beam_obs.reports.telling import tell
from beam_obs.store.run_record import parse_time

_EVERY_SECONDS = 30


def _address(text: str) -> str:
    parts = urllib.parse.urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or not text.isprintable() or " " in text:
        raise UsageError(f"found {text!r}, expected an address: http://localhost:8099/api/health")
    _ = parts.port  # raises ValueError where it is none
    return text


def _length(text: str) -> int:
    seconds = parse_duration(text)
    if not seconds:
        raise UsageError(f"found {text!r}, expected more than nothing")
    return seconds


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not text.isprintable():
        raise UsageError(f"found {text!r}, expected a name, a colon and a value: 'Accept: application/json'")
    return name.strip(), value.strip()


@click.command()
@click.argument("url", metavar="URL", callback=parsed_by(_address))
@click.option(
    "--expect",
    "expectations",
    multiple=True,
    metavar="JSONPATH=VALUE",
    callback=parsed_by(Expectation),
    help="The answer has this value there, or without =VALUE anything; may be given several times: "
    "'$.status=ok', '$.runs[0].dead=0'.",
)
@click.option(
    "--every",
    "every_seconds",
    metavar="DURATION",
    callback=parsed_by(_length),
    help="Ask again so long after the last time began, until interrupted: 30s.",
)
@click.option(
    "--times",
    type=click.IntRange(min=1),
    metavar="N",
    help="Ask so many times, every 30s where nothing else is said (default: once; with --every without end).",
)
@click.option(
    "--timeout",
    "timeout_seconds",
    metavar="DURATION",
    default="10s",
    show_default=True,
    callback=parsed_by(_length),
    help="The whole answer is there within this time.",
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    callback=parsed_by(_header),
    help="Send this header; may be given several times.",
)
@click.option(
    "--follow-redirects", "follows", is_flag=True, help="Go where it is redirected to; headers stay."
)
@click.option(
    "--prometheus-port",
    metavar="[HOST:]PORT",
    callback=parsed_by(host_and_port),
    help="Show its counters to Prometheus on this port.",
)
@click.option(
    "--textfile",
    type=click.Path(dir_okay=False, path_type=pathlib.Path),
    metavar="FILE",
    help="Write its counters to this file, which ends in .prom, for the textfile collector of node_exporter.",
)
@json_option
def probe(
    url: str,
    expectations: tuple[Expectation, ...],
    every_seconds: int | None,
    times: int | None,
    timeout_seconds: int,
    headers: tuple[tuple[str, str], ...],
    follows: bool,
    prometheus_port: tuple[str, int] | None,
    textfile: pathlib.Path | None,
    as_json: bool,
) -> None:
    """Ask an address by GET, and hold its answer, which is JSON, against what is expected.

    A line for each attempt; exit code 1 where any of them failed: no answer in time, a status that is not
    2xx, no JSON, or another value than expected.
    """
    if textfile is not None and textfile.suffix != ".prom":
        raise click.UsageError(f"--textfile {textfile}: the collector reads files that end in .prom")
    if textfile is not None and not textfile.parent.is_dir():
        raise click.UsageError(f"--textfile {textfile}: there is no folder {textfile.parent}")
    asked = Probe(url, expectations, dict(headers), timeout_seconds, follows)
    counters = ProbeCounters(asked.shown_url)
    show = _shower(prometheus_port, textfile)
    show(counters)
    try:
        for _ in _beats(times or (None if every_seconds else 1), every_seconds or _EVERY_SECONDS):
            attempt = asked.attempt()
            counters.add(attempt)
            _tell(attempt, asked.shown_url, as_json)
            show(counters)
    except KeyboardInterrupt:
        _tell_sum(counters, as_json)
        raise click.exceptions.Exit(130) from None
    _tell_sum(counters, as_json)
    if counters.failed:
        raise click.exceptions.Exit(1)


def _shower(port: tuple[str, int] | None, textfile: pathlib.Path | None) -> Callable[[ProbeCounters], None]:
    """Returns what shows the counters to Prometheus, if anything does."""
    shows: list[Callable[[ProbeCounters], None]] = []
    if port is not None:
        from beam_obs.exporters.prometheus_port import PrometheusPort

        shown = PrometheusPort("{}:{}".format(*port))
        click.echo(f"counters on http://{port[0]}:{shown.port}/metrics", err=True)
        shows.append(lambda counters: shown.export(counters.numbers()))
    if textfile is not None:
        from beam_obs.exporters.prometheus_text import prometheus_text

        def write(counters: ProbeCounters) -> None:
            write_new_file(str(textfile), b"".join(prometheus_text([counters.numbers()])), is_synced=False)

        shows.append(write)

    def show(counters: ProbeCounters) -> None:
        for one in shows:
            one(counters)

    return show


def _beats(times: int | None, every_seconds: float) -> Iterator[int]:
    """Yields numbers from 1 when it is time: at whole multiples of a length of time since the first."""
    began = time.monotonic()
    for number in itertools.count(1):
        yield number
        if number == times:
            return
        passed = time.monotonic() - began
        time.sleep((passed // every_seconds + 1) * every_seconds - passed)


def _tell(attempt: Attempt, url: str, as_json: bool) -> None:
    if as_json:
        told = {"at": attempt.at, "url": url, "result": attempt.result, "status": attempt.status}
        click.echo(json.dumps({**told, "seconds": round(attempt.seconds, 6), "text": attempt.text}))
        return
    took = microseconds_text(attempt.seconds * 1_000_000)
    status = "-" if attempt.status is None else attempt.status
    at = f"{parse_time(attempt.at):%Y-%m-%d %H:%M:%S} UTC"
    tell(f"{at}  {attempt.result:<11}  {status:>3}  {took:>6}  {attempt.text}")
    sys.stdout.flush()


def _tell_sum(counters: ProbeCounters, as_json: bool) -> None:
    if counters.count > 1 and not as_json:
        tell(f"{counted(counters.count, 'attempt')}, {counters.failed:,} failed")
