"""Names of what spans tell: OpenTelemetry's semantic conventions where there are any, else ``beam.*``.

docs/traces.md has the table. https://opentelemetry.io/docs/specs/semconv/ (1.37).
"""

from __future__ import annotations

OURS = "beam."
"""What names begin with that nobody else has."""

ORIGIN = "beam.origin"
RUN = "beam.run_id"
PIPELINE = "beam.pipeline"
STEP = "beam.step"
BUNDLE = "beam.bundle"
POSITION = "beam.position"
SOURCE_URI = "beam.source.uri"
SOURCE_VERSION = "beam.source.version"
DEAD_LETTER = "beam.dead_letter_id"
CONTRIBUTORS = "beam.contributors"
LINKED = "beam.contributors_linked"
BATCH_SIZE = "beam.batch.size"
ELEMENTS_IN = "beam.elements.in"
ELEMENTS_OUT = "beam.elements.out"
ELEMENTS_DEAD = "beam.elements.dead"
ELEMENTS_FILTERED = "beam.elements.filtered"
STATUS = "beam.run_status"
CODE_VERSION = "beam.code_version"

FUNCTION = "code.function.name"
ERROR_TYPE = "error.type"
EXCEPTION_EVENT = "exception"
EXCEPTION_TYPE = "exception.type"
EXCEPTION_MESSAGE = "exception.message"
EXCEPTION_STACKTRACE = "exception.stacktrace"
