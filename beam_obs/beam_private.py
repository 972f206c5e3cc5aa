"""What is private to Apache Beam and used here, all of it: what for, and what to say where it was taken away.

Classes and functions are imported from here, by the names of `NAMES`. Attributes are used in their places,
some of them on the hot path, and listed in `ATTRIBUTES`. What is known by its full name alone, as it stands
in a portable pipeline or in a module that may not be installed, is in `CLASSES`. On a Beam that this release
was not tested with, all of it is looked for when the first of `NAMES` is asked for: when a pipeline is built.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import importlib
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

from beam_obs.records.errors import BeamObsError

TESTED = ((2, 76), (2, 77))
"""The oldest and the newest release of Beam that the tests are run with."""


class Private(NamedTuple):
    """One private name of Beam's.

    Args:
      home: the module, or ``module:Class``.
      name: as it is called there.
      why: what it is used for.
    """

    home: str
    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.home.replace(':', '.')}.{self.name} ({self.why})"


class BeamChanged(BeamObsError, ImportError):
    """The installed release of Apache Beam lacks something private that is used here.

    Args:
      version: of Beam.
      missing: what it lacks.
    """

    def __init__(self, version: str, missing: tuple[Private, ...]) -> None:
        (oldest, newest), after = ("{}.{}".format(*one) for one in TESTED), TESTED[1][1] + 1
        lacking = "".join(f"\n  {one}" for one in missing)
        super().__init__(
            f"Apache Beam {version} lacks what this release of beam_obs uses:{lacking}\n"
            f"It works with Beam {oldest} to {newest}: pip install "
            f"'apache-beam>={oldest},<{TESTED[1][0]}.{after}', or a newer release of beam_obs"
        )
        self.version = version
        self.missing = missing

    def __reduce__(self) -> tuple[type[BeamChanged], tuple[str, tuple[Private, ...]]]:
        return (BeamChanged, (self.version, self.missing))


_CORE = "apache_beam.transforms.core"
_FRAMES = "apache_beam.dataframe.io"
_UTIL = "apache_beam.transforms.util"
_WORKER = "apache_beam.runners.worker.sdk_worker"

NAMES = {
    "BaseAvroSink": Private("apache_beam.io.avroio", "_BaseAvroSink", "a sink of Avro that counts"),
    "CombinePerKeyWithHotKeyFanout": Private(
        _CORE, "_CombinePerKeyWithHotKeyFanout", "the user's key of what a half of it refuses"
    ),
    "DoFnParam": Private(_CORE, "_DoFnParam", "what a DoFn asks for besides the element"),
    "ExceptionHandlingWrapperDoFn": Private(
        _CORE, "_ExceptionHandlingWrapperDoFn", "the DoFn within Beam's own handling of exceptions"
    ),
    "FastAvroSink": Private("apache_beam.io.avroio", "_FastAvroSink", "to try records on its schema"),
    "FastAvroSource": Private("apache_beam.io.avroio", "_FastAvroSource", "positions of its records"),
    "MultiParDo": Private(_CORE, "_MultiParDo", "a ParDo with tagged outputs"),
    "NamedPTransform": Private(
        "apache_beam.transforms.ptransform", "_NamedPTransform", "the label of what is wrapped"
    ),
    "PTransformFnPTransform": Private(
        "apache_beam.transforms.ptransform", "_PTransformFnPTransform", "the function that is a composite"
    ),
    "ParquetSource": Private("apache_beam.io.parquetio", "_ParquetSource", "positions of its records"),
    "ReadRange": Private(
        "apache_beam.io.filebasedsource", "_ReadRange", "the DoFn that reads parts of files"
    ),
    "RestrictionDoFnParam": Private(_CORE, "_RestrictionDoFnParam", "whether a DoFn is splittable"),
    "SDFBoundedSourceRestrictionProvider": Private(
        "apache_beam.io.iobase", "_SDFBoundedSourceRestrictionProvider", "to read a source as Beam does"
    ),
    "SingleFileSource": Private("apache_beam.io.filebasedsource", "_SingleFileSource", "the file of a part"),
    "StateDoFnParam": Private(_CORE, "_StateDoFnParam", "the state that a DoFn asks for"),
    "TFRecordSink": Private("apache_beam.io.tfrecordio", "_TFRecordSink", "to try records on its coder"),
    "TFRecordSource": Private("apache_beam.io.tfrecordio", "_TFRecordSource", "positions of its records"),
    "TextSink": Private("apache_beam.io.textio", "_TextSink", "a sink of text that counts"),
    "TextSource": Private("apache_beam.io.textio", "_TextSource", "positions of its lines"),
    "STATE_SAMPLERS": Private(
        "apache_beam.runners.worker.statesampler", "_STATE_SAMPLERS", "the step that a thread is in"
    ),
    "TypedMetricName": Private("apache_beam.metrics.execution", "_TypedMetricName", "the key of a count"),
    "UnwindowedValues": Private(
        "apache_beam.transforms.trigger", "_UnwindowedValues", "grouped values that may be read again"
    ),
    "WatermarkEstimatorParam": Private(_CORE, "_WatermarkEstimatorParam", "the estimator that a DoFn has"),
    "get_arg_placeholders": Private(
        "apache_beam.runners.common", "_get_arg_placeholders", "places of the arguments that Beam gives"
    ),
    "user_type_is_generated": Private(
        "apache_beam.typehints.row_type", "_user_type_is_generated", "whether a row's class is Beam's"
    ),
}
"""Name here -> classes and functions of Beam's."""

ATTRIBUTES = (
    # A pipeline while it is built.
    Private("apache_beam.pipeline:Pipeline", "_current_transform", "the full label of a step"),
    Private("apache_beam.pipeline:Pipeline", "_error_handlers", "the end of a DeadLetters is demanded"),
    Private("apache_beam.pipeline:Pipeline", "_options", "the options of a pipeline that runs already"),
    Private("apache_beam.pipeline:Pipeline", "_root_transform", "the steps of a pipeline"),
    Private("apache_beam.pvalue:PCollection", "_windowing", "windows without triggers"),
    Private("apache_beam.io.filesystems:FileSystems", "_pipeline_options", "options in force are kept"),
    Private("apache_beam.internal.gcp.auth:_Credentials", "_credentials_init", "none are looked for"),
    Private("apache_beam.options.pipeline_options:PipelineOptions", "_all_options", "misspelt options"),
    Private("apache_beam.options.pipeline_options:PipelineOptions", "_flags", "misspelt options"),
    Private("apache_beam.options.pipeline_options:PipelineOptions", "_visible_options", "misspelt options"),
    # Transforms and DoFns that are wrapped.
    Private(f"{_CORE}:_MultiParDo", "_allow_unknown_tags", "outputs of a ParDo"),
    Private(f"{_CORE}:_MultiParDo", "_do_transform", "the ParDo of tagged outputs"),
    Private(f"{_CORE}:_MultiParDo", "_main_tag", "outputs of a ParDo"),
    Private(f"{_CORE}:_MultiParDo", "_tags", "outputs of a ParDo"),
    Private(f"{_CORE}:ParDo", "_add_type_constraint_from_consumer", "types are not checked twice"),
    Private(f"{_CORE}:ParDo", "_runtime_output_constraints", "a DoFn whose types are checked as it runs"),
    Private(f"{_CORE}:ParDo", "_signature", "a ParDo whose DoFn was put in later"),
    Private("apache_beam.typehints.decorators:WithTypeHints", "_type_hints", "types of a wrapped step"),
    Private(f"{_CORE}:CallableWrapperDoFn", "_fn", "the function of a Map"),
    Private(f"{_CORE}:DoFn", "_beam_yields_batches", "a process that gives batches"),
    Private(f"{_CORE}:DoFn", "_beam_yields_elements", "a process_batch that gives elements"),
    Private(f"{_CORE}:DoFn", "_can_yield_batches", "whether a DoFn gives batches"),
    Private(f"{_CORE}:CallableWrapperDoFn", "_inspect_process", "how Beam asks for arguments"),
    Private(f"{_CORE}:DoFn", "_process_argspec_fn", "the arguments of a wrapped DoFn"),
    Private(f"{_CORE}:DoFn", "_process_batch_defined", "whether a DoFn takes batches"),
    Private(f"{_CORE}:DoFn", "_process_batch_yields_elements", "what a DoFn gives of a batch"),
    Private(f"{_CORE}:DoFn", "_process_defined", "whether a DoFn takes elements"),
    Private(f"{_CORE}:DoFn", "_process_yields_batches", "what a DoFn gives of an element"),
    Private("apache_beam.transforms.userstate:TimerSpec", "_attached_callback", "the method of a timer"),
    Private("apache_beam.utils.windowed_value:_IntervalWindowBase", "_start_micros", "sums by window"),
    Private("apache_beam.utils.windowed_value:_IntervalWindowBase", "_end_micros", "sums by window"),
    Private(f"{_UTIL}:_GlobalWindowsBatchingDoFn", "_element_size_fn", "batches of elements with lineage"),
    Private(
        "apache_beam.transforms.combiners:_PartialGroupByKeyCombiningValues",
        "_combine_fn",
        "a combine that was lifted by hand",
    ),
    # Sources and sinks.
    Private("apache_beam.io.avroio:_FastAvroSink", "_schema", "records are tried before they are written"),
    Private("apache_beam.io.filebasedsink:FileBasedSink", "_template_to_format", "names of windowed files"),
    Private("apache_beam.io.filebasedsink:FileBasedSink", "_template_to_glob_format", "names of files"),
    Private("apache_beam.io.filebasedsource:FileBasedSource", "_pattern", "the file that is read"),
    Private("apache_beam.io.filebasedsource:_ReadRange", "_source_from_file", "the source of a file"),
    Private("apache_beam.io.filebasedsource:_ReadRange", "_with_filename", "whether records come with it"),
    Private("apache_beam.io.filebasedsource:_SingleFileSource", "_file_based_source", "the reader of a part"),
    Private("apache_beam.io.filebasedsource:_SingleFileSource", "_file_name", "the file of a part"),
    Private("apache_beam.io.filebasedsource:_SingleFileSource", "_splittable", "what positions are"),
    Private("apache_beam.io.textio:_TextSource", "_coder", "lines are read in blocks"),
    Private("apache_beam.io.textio:_TextSource", "_delimiter", "lines are read in blocks"),
    Private("apache_beam.io.textio:_TextSource", "_escapechar", "lines are read in blocks"),
    Private("apache_beam.io.textio:_TextSource", "_process_header", "lines are read in blocks"),
    Private("apache_beam.io.textio:_TextSource", "_strip_trailing_newlines", "lines are read in blocks"),
    Private("apache_beam.io.range_trackers:UnsplittableRangeTracker", "_range_tracker", "offsets of a part"),
    Private("apache_beam.io.gcp.bigquery:WriteResult", "_method", "where refused rows come from"),
    Private("apache_beam.io.gcp.pubsub:PubsubMessage", "_from_proto_str", "a message before it is one"),
    Private("apache_beam.io.gcp.pubsub:PubsubMessage", "_from_proto_str", "messages as Dataflow gives them"),
    Private("apache_beam.io.gcp.pubsub:PubsubMessage", "_to_proto_str", "a message that is too large"),
    Private("apache_beam.io.gcp.pubsub:ReadFromPubSub", "_source", "messages in place of their data alone"),
    # Coders, to name them and to take them apart.
    Private("apache_beam.coders.coders:MapCoder", "_key_coder", "the name of a payload's coder"),
    Private("apache_beam.coders.coders:MapCoder", "_value_coder", "the name of a payload's coder"),
    Private("apache_beam.coders.coders:ListCoder", "_elem_coder", "the name of a payload's coder"),
    # Results.
    Private("apache_beam.pipeline:ComponentIdMap", "_obj_to_id", "the step of a count"),
    Private(
        "apache_beam.runners.portability.fn_api_runner.fn_runner:RunnerResult",
        "_monitoring_infos_by_stage",
        "counts of elements",
    ),
    Private("apache_beam.runners.portability.portable_runner:PipelineResult", "_job_id", "counts of a job"),
    Private("apache_beam.runners.portability.portable_runner:PipelineResult", "_job_service", "its counts"),
    Private(
        "apache_beam.runners.interactive.interactive_runner:PipelineResult",
        "_underlying_result",
        "counts of an interactive run",
    ),
    Private(
        "apache_beam.runners.dataflow.dataflow_metrics:DataflowMetrics", "_dataflow_client", "counts of a job"
    ),
    Private(
        "apache_beam.runners.dataflow.dataflow_metrics:DataflowMetrics", "_job_graph", "the step of a count"
    ),
    Private("apache_beam.runners.runner:PipelineResult", "_state", "a job that ended at once"),
    # Workers in the process of the program.
    Private(f"{_WORKER}:SdkWorker", "process_bundle_progress", "answers to an engine are paced"),
    Private(f"{_WORKER}:SdkWorker", "bundle_processor_cache", "the bundle that it asks for"),
    Private(f"{_WORKER}:BundleProcessorCache", "lookup", "the bundle that it asks for"),
    Private("apache_beam.runners.direct.direct_runner:DirectPipelineResult", "_executor", "streams given up"),
    Private("apache_beam.runners.direct.executor:Executor", "_executor", "a stream given up"),
)
"""Attributes and methods of Beam's objects."""

CLASSES = (
    Private(_CORE, "CombineGlobally", "its default for nothing is no source"),
    Private(_CORE, "CombineValues", "is one ParDo"),
    Private(_CORE, "Create", "is a source"),
    Private(_CORE, "_CombinePerKeyWithHotKeyFanout", "its halves are one aggregate"),
    Private(_CORE, "_MultiParDo", "is one ParDo"),
    Private("apache_beam.transforms.combiners", "LiftedCombinePerKey", "is an aggregate"),
    Private("apache_beam.transforms.combiners", "_TopPerBundle", "gives what is summed up"),
    Private(_UTIL, "GroupIntoBatches", "is an aggregate"),
    Private(_UTIL, "ReshufflePerKey", "changes nothing"),
    Private(_UTIL, "_pardo_group_into_batches", "its DoFn, _GroupIntoBatchesDoFn, keeps lists of elements"),
    Private(_UTIL, "_GlobalWindowsBatchingDoFn", "makes lists of elements"),
    Private(_UTIL, "_WindowAwareBatchingDoFn", "makes lists of elements"),
    Private("apache_beam.io.gcp.pubsub", "PubsubMessage", "is a record of bytes"),
    Private("apache_beam.io.gcp.pubsub", "ReadFromPubSub", "its records are messages"),
    Private("apache_beam.internal.gcp.auth", "_Credentials", "none are looked for"),
    Private(_FRAMES, "ReadViaPandas", "reads frames"),
    Private(_FRAMES, "WriteViaPandas", "writes frames"),
    Private(_FRAMES, "_ReadFromPandas", "reads frames"),
    Private(_FRAMES, "_ReadFromPandasDoFn", "reads frames"),
    Private(_FRAMES, "_WriteToPandas", "writes frames"),
    Private(_FRAMES, "_WriteToPandasFileSink", "writes frames"),
    Private("apache_beam.ml.inference.base", "_RunInferenceDoFn", "its elements are batches"),
)
"""Classes of Beam's that are known by their full names."""


def lacking() -> Iterator[Private]:
    """Gives what the installed Beam does not have, but for what needs packages that are not installed."""
    gone: set[tuple[str, str]] = set()
    for one in (*NAMES.values(), *CLASSES, *ATTRIBUTES):
        module, _, kind = one.home.partition(":")
        if (one.home, one.name) in gone or (module, kind) in gone:
            continue
        try:
            home = importlib.import_module(module)
        except ImportError as error:
            if not (getattr(error, "name", None) or "").startswith("apache_beam"):
                continue
            home = None
        if not _has(getattr(home, kind, None) if kind else home, one.name):
            gone.add((one.home, one.name))
            yield one


def _has(holder: Any, name: str) -> bool:
    """Returns whether a module or class has a name, or its methods give one to its objects."""
    if hasattr(holder, name):
        return True
    kinds = holder.__mro__ if isinstance(holder, type) else ()
    return any(_gives(member, name) for kind in kinds for member in vars(kind).values())


def _gives(member: Any, name: str) -> bool:
    function = getattr(member, "fget", None) or getattr(member, "__func__", member)
    code = getattr(function, "__code__", None)
    return isinstance(code, types.CodeType) and any(
        one.argval == name and one.opname == "STORE_ATTR" for one in dis.get_instructions(code)
    )


@functools.lru_cache(maxsize=1)
def _refuse_what_changed() -> None:
    """Raises `BeamChanged` where an untested Beam lacks anything of the list."""
    import apache_beam

    with contextlib.suppress(ValueError):
        release = tuple(int(part) for part in apache_beam.__version__.split(".")[:2])
        if TESTED[0] <= release <= TESTED[1]:
            return
    missing = tuple(lacking())
    if missing:
        raise BeamChanged(apache_beam.__version__, missing)


def __getattr__(name: str) -> Any:
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _refuse_what_changed()
    one = NAMES[name]
    try:
        found = getattr(importlib.import_module(one.home), one.name)
    except AttributeError:
        import apache_beam

        raise BeamChanged(apache_beam.__version__, (one,)) from None
    globals()[name] = found
    return found
