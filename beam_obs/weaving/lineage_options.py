"""Options of lineage, as Beam's own: on the command line, or as keywords of PipelineOptions."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from beam_obs.metrics.kept_instruments import are_any_kept
from beam_obs.records.run_context import RunContext
from beam_obs.records.weave_report import WeaveReport
from beam_obs.weaving.settings import SAMPLED_SHARE, WEAVE_VERSION, WeaveSettings

OFF, WOVEN, STRICT = "off", "woven", "strict"
DEFAULT = WOVEN
_SHARES = {"all": 1.0, "sampled": SAMPLED_SHARE, "off": 0.0}


class LineageOptions(PipelineOptions):  # type: ignore[misc, unused-ignore]
    """Whether records carry their origins, and what is noted of outputs.

    >>> LineageOptions(["--obs_lineage=strict"]).obs_lineage
    'strict'
    """

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        group = parser.add_argument_group("lineage (beam_obs)")
        group.add_argument(
            "--obs_lineage",
            choices=(WOVEN, OFF, STRICT),
            default=DEFAULT,
            help="Whether each record carries its origin: woven, off, or strict, where a step that cannot "
            f"carry it is an error (default: {DEFAULT}).",
        )
        group.add_argument(
            "--obs_output_index",
            choices=tuple(_SHARES),
            default="all",
            help="Which of the records that sinks write can be woven back without attributes of their own "
            "(default: all).",
        )
        group.add_argument(
            "--obs_lineage_filtered",
            choices=("sampled", "all", "off"),
            default="sampled",
            help="Of which records it is noted at which step they ended, where a step gave nothing of them "
            "(default: sampled, one in 128).",
        )


def weave_settings(
    options: PipelineOptions, evidence: str | RunContext | None, keeps_keys: bool = True
) -> WeaveSettings | None:
    """Returns how the options ask for a pipeline to be woven, or None where they do not.

    Where they do not, and the program has made gauges or summaries, the outputs for these are all that is
    woven.

    Args:
      options: of the pipeline.
      evidence: folder of derivations and output index, or the run whose folder it is.
      keeps_keys: whether keys of aggregates may be kept as text.
    """
    asked = options.view_as(LineageOptions)
    keeps_instruments = evidence is not None and are_any_kept()
    if asked.obs_lineage == OFF:
        if not keeps_instruments:
            return None
        return WeaveSettings(evidence=evidence, carries_origins=False, keeps_instruments=True)
    return WeaveSettings(
        strict=asked.obs_lineage == STRICT,
        evidence=evidence,
        keeps_keys=keeps_keys,
        output_share=_SHARES[asked.obs_output_index],
        filtered_share=_SHARES[asked.obs_lineage_filtered],
        keeps_instruments=keeps_instruments,
        traces=evidence.traces if isinstance(evidence, RunContext) else None,
    )


def weave_version(options: PipelineOptions) -> int | None:
    """Returns the version of the weave that a pipeline gets, or None where the options ask for none."""
    return None if options.view_as(LineageOptions).obs_lineage == OFF else WEAVE_VERSION


@contextlib.contextmanager
def weaving_as_asked(
    options: Any, evidence: str | RunContext | None, keeps_keys: bool = True, gathers_rows: bool = True
) -> Iterator[list[WeaveReport]]:
    """While it lasts, the pipelines that this thread runs are woven, if the options ask for it.

    Args:
      options: of the pipeline.
      evidence: folder of derivations and output index, or the run whose folder it is.
      keeps_keys: whether keys of aggregates may be kept as text.
      gathers_rows: whether rows of a stream wait for others before they are written.

    Gives the list to which a report is added each time a runner asks for the pipeline; the last one counts.
    """
    settings = weave_settings(options, evidence, keeps_keys)
    if settings is None:
        yield []
        return
    from beam_obs.weaving.hook import weaving  # many programs that build a pipeline run none

    with weaving(dataclasses.replace(settings, gathers_rows=gathers_rows)) as reports:
        yield reports
