"""What Prism is asked for a stream, so that steps with state lose nothing of what they keep.

Prism (2.77) splits the bundle of any step that is slow, and frees the keys of what it takes out though others
of the same keys are still being processed: another bundle begins with the state of before, and what the first
wrote is written over. Evidence of a stream is gathered in such a step.
"""

from __future__ import annotations

from typing import Any

from apache_beam.options.pipeline_options import DebugOptions
from apache_beam.pipeline import PipelineVisitor

WITHOUT_SPLITS = "prism_disable_sdf_split"
"""The experiment of Prism's; no other runner knows it."""
_PORTABLE = "PortableRunner"
"""The runner that Prism's derives from; what stands behind one is not known before the job is there."""


def keep_bundles_whole(pipeline: Any) -> bool:
    """Asks Prism to split no bundle of a pipeline that has a stream; one for another runner is left as it is.

    Args:
      pipeline: a ``beam.Pipeline``; its options are changed.

    Returns:
      Whether it was asked.
    """
    is_asked = any(kind.__name__ == _PORTABLE for kind in type(pipeline.runner).__mro__) and _has_stream(
        pipeline
    )
    if is_asked:
        pipeline.options.view_as(DebugOptions).add_experiment(WITHOUT_SPLITS)
    return is_asked


def _has_stream(pipeline: Any) -> bool:
    looking = _Looking()
    pipeline.visit(looking)
    return looking.has_found


class _Looking(PipelineVisitor):
    """Looks for a PCollection that has no end."""

    has_found = False

    def visit_value(self, value: Any, producer_node: Any) -> None:
        self.has_found = self.has_found or not getattr(value, "is_bounded", True)
