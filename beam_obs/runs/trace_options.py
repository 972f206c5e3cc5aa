"""Options of traces, as Beam's own, and the standard variables of OpenTelemetry beside them."""

from __future__ import annotations

import argparse
import difflib
import logging
import math
import os
import sys
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from apache_beam.options.pipeline_options import PipelineOptions

from beam_obs.records.errors import UsageError
from beam_obs.records.run_context import RunContext
from beam_obs.records.secrets import redact_text
from beam_obs.records.trace_settings import OTLP, STORE, TraceSettings
from beam_obs.runs.options import SHARE, Argument
from beam_obs.traces.otlp_sender import GRPC, SPANS, check_protocol, protocol_of
from beam_obs.traces.sampling import share_of, threshold_of
from beam_obs.traces.span_ids import span_id_of_run, trace_id_of_run
from beam_obs.traces.tracer import check_tracing, users_provider

AUTO, OFF, PROVIDER = "auto", "off", "provider"
TARGETS = (AUTO, OFF, STORE, OTLP, PROVIDER)
DEFAULT_SHARE = 0.01
"""Of records that are traced, where traces are on and nobody says how many."""

_SAMPLER = "OTEL_TRACES_SAMPLER"
_ARGUMENT = "OTEL_TRACES_SAMPLER_ARG"
_EXPORTER = "OTEL_TRACES_EXPORTER"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_SHARE = rf"([^,]*[^,\s][^,]*=)?({SHARE})"
_GIVE_IT = f"--obs_trace_share is taken, or else {DEFAULT_SHARE}"
_LOGGER = logging.getLogger(__name__)


class TraceOptions(PipelineOptions):
    """Whether records are traced, how many of them, and where the spans go.

    >>> TraceOptions(["--obs_trace_share=0.1,parse=1"]).obs_trace_share
    '0.1,parse=1'
    """

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("traces (beam_obs)")
        group.add_argument(
            "--obs_traces",
            choices=TARGETS,
            default=AUTO,
            help="Where the spans of records go: to the run's folder, to a backend by OTLP, or to the "
            "provider that the process has set up; auto takes what is set up, and traces where anything says "
            "so: a share, a provider, or a variable of OpenTelemetry (default: auto).",
        )
        group.add_argument(
            "--obs_trace_share",
            type=Argument(_shares_as_given, pattern=f"{_SHARE}(,{_SHARE})*"),
            default=None,
            metavar="SHARE[,STEP=SHARE]",
            help="Share of records that are traced, 0 to 1, and that of single steps; refused ones are "
            f"traced in any case (default: what {_SAMPLER} and {_ARGUMENT} say, else {DEFAULT_SHARE}).",
        )


class Shares(NamedTuple):
    """Shares of records that are traced.

    Args:
      all: of all steps that have none of their own; None where it is not said.
      steps: by label.
    """

    all: float | None
    steps: Mapping[str, float]


def trace_settings(
    options: PipelineOptions,
    context: RunContext,
    keeps_messages: bool,
    variables: Mapping[str, str] = os.environ,
    labels: Collection[str] | None = None,
) -> TraceSettings | None:
    """Returns how options and variables ask for a run to be traced; None where they do not.

    Args:
      options: of the pipeline.
      context: of the run.
      keeps_messages: whether messages of errors may be kept.
      variables: of the environment.
      labels: of the steps of the pipeline, where they are known.

    Raises:
      MissingExtra: the ``otel`` extra is not installed.
      UsageError: a share is none, or spans are to go by a protocol that there is no exporter for.
    """
    asked = options.view_as(TraceOptions)
    shares = parse_shares(asked.obs_trace_share)
    target = _target(asked.obs_traces, variables, is_asked=shares.all is not None or bool(shares.steps))
    if target is None:
        return None
    check_tracing(target)
    takes_users_provider = asked.obs_traces in (AUTO, PROVIDER)
    if target == OTLP and (not takes_users_provider or users_provider_if_loaded() is None):
        check_protocol(SPANS, variables)
    if labels is not None:
        _tell_unknown(shares.steps, labels)
    of_sampler = _share_of_sampler(variables)
    share = next(one for one in (shares.all, of_sampler, DEFAULT_SHARE) if one is not None)
    if of_sampler is not None and shares.all is None and 0 < of_sampler < 1:
        _LOGGER.info(
            "%s and %s set the share of records that are traced, %s; which ones, the low 56 bits of their "
            "origins decide, not those that the sampler of OpenTelemetry's SDK looks at",
            _SAMPLER,
            _ARGUMENT,
            of_sampler,
        )
    return TraceSettings(
        run=context.run,
        pipeline=context.pipeline,
        folder=context.folder,
        target=target,
        takes_users_provider=takes_users_provider,
        threshold=threshold_of(share),
        trace_id=trace_id_of_run(context.run),
        span_id=span_id_of_run(context.run),
        thresholds=tuple((step, threshold_of(one)) for step, one in shares.steps.items()),
        endpoint=_endpoint(variables),
        protocol=protocol_of(SPANS, variables),
        keeps_messages=keeps_messages,
    )


def told_of(settings: TraceSettings | None) -> dict[str, Any] | None:
    """Returns what the start of a run says of its traces; None where it is not traced."""
    if settings is None:
        return None
    target = PROVIDER if settings.takes_users_provider and users_provider_if_loaded() else settings.target
    endpoint = None if settings.endpoint is None else redact_text(settings.endpoint)
    sent_to = {OTLP: endpoint, PROVIDER: "the provider that the program has set up"}
    return {
        "target": target,
        "share": round(share_of(settings.threshold), 12),
        "shares": {step: round(share_of(one), 12) for step, one in settings.thresholds},
        "sent_to": sent_to.get(target),
    }


def parse_shares(text: object) -> Shares:
    """Returns the shares that an option gives.

    Raises:
      UsageError: one is not between 0 and 1.

    >>> parse_shares("0.1,parse=1")
    Shares(all=0.1, steps={'parse': 1.0})
    >>> parse_shares("10%")
    Traceback (most recent call last):
    ...
    beam_obs...UsageError: --obs_trace_share: found '10%', expected a share between 0 and 1, e.g. 0.01...
    """
    overall: float | None = None
    steps: dict[str, float] = {}
    for part in [] if text is None else str(text).split(","):
        step, given, value = part.rpartition("=")
        try:
            share = float(value)
        except ValueError:
            share = math.nan
        if not 0 <= share <= 1 or (given and not step.strip()):
            value = value if step.strip() else part
            raise UsageError(
                f"--obs_trace_share: found {value!r}, expected a share between 0 and 1, e.g. 0.01, "
                "and that of single steps behind it, e.g. 0.01,parse=1"
            )
        if given:
            steps[step.strip()] = share
        else:
            overall = share
    return Shares(overall, steps)


def _tell_unknown(steps: Iterable[str], labels: Collection[str]) -> None:
    """Says which shares are those of no step; a program may have another pipeline, so it does not fail."""
    for step in steps:
        if step not in labels:
            nearest = difflib.get_close_matches(step, labels, 1)
            meant = f"; did you mean {nearest[0]!r}?" if nearest else ""
            _LOGGER.warning("--obs_trace_share: the pipeline has no step %r%s", step, meant)


def _shares_as_given(text: str) -> str:
    """Returns what an option gives, once it is known to be shares."""
    try:
        parse_shares(text)
    except UsageError as error:
        raise ValueError(str(error).removeprefix("--obs_trace_share: ")) from None
    return text


def _target(asked: str, variables: Mapping[str, str], is_asked: bool) -> str | None:
    """Returns where spans go where a process has no provider of its own; None where there are to be none."""
    if asked == OFF or variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if asked in (STORE, OTLP):
        return asked
    exporters = [name.strip() for name in variables.get(_EXPORTER, "").split(",") if name.strip()]
    has_endpoint = any(variables.get(name) for name in _ENDPOINTS)
    by_otlp = any(name.startswith("otlp") for name in exporters) or (not exporters and has_endpoint)
    if asked == AUTO and not is_asked:
        if exporters == ["none"]:
            return None
        is_set_up = exporters or has_endpoint or variables.get(_SAMPLER, "").strip()
        if not is_set_up and users_provider_if_loaded() is None:
            return None
    return OTLP if by_otlp else STORE


def users_provider_if_loaded() -> object:
    """Returns the provider that this process has set up; asks nothing where OpenTelemetry is not imported."""
    return users_provider() if "opentelemetry.trace" in sys.modules else None


def _share_of_sampler(variables: Mapping[str, str]) -> float | None:
    """Returns the share that the standard variables give; None where they give none that can be read."""
    named = variables.get(_SAMPLER, "").strip()
    sampler = named.lower().removeprefix("parentbased_")
    if sampler in ("always_on", "always_off"):
        return float(sampler == "always_on")
    if sampler != "traceidratio":
        if named:
            _LOGGER.warning("%s is %r, which gives no share of records; %s", _SAMPLER, named, _GIVE_IT)
        return None
    argument = variables.get(_ARGUMENT) or "1"
    try:
        share = float(argument)
    except ValueError:
        share = math.nan
    if 0 <= share <= 1:
        return share
    _LOGGER.warning("%s is %r, not a share between 0 and 1; %s", _ARGUMENT, argument, _GIVE_IT)
    return None


def _endpoint(variables: Mapping[str, str]) -> str | None:
    """Returns where spans go by OTLP, as exporters take it as an argument."""
    own, of_all = (variables.get(name) for name in _ENDPOINTS)
    if own or not of_all:
        return own or None
    return of_all if protocol_of(SPANS, variables) == GRPC else f"{of_all.rstrip('/')}/v1/traces"
