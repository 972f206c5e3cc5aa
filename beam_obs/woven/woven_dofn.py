"""The DoFn of a woven step: the user's DoFn does the work on plain values, provenances go around it.

What Beam asks about the user's DoFn is answered from the user's DoFn. Three questions get another answer:
who provides restrictions (they see elements), which state there is (one more), and what the key is
(taken from the plain value, where the element is not keyed).
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.internal import pickler
from apache_beam.pvalue import TaggedOutput
from apache_beam.runners.common import MethodWrapper
from apache_beam.transforms import core, userstate
from apache_beam.transforms.window import GlobalWindows, WindowFn

from beam_obs.beam_private import (
    DoFnParam,
    RestrictionDoFnParam,
    StateDoFnParam,
    WatermarkEstimatorParam,
    get_arg_placeholders,
)
from beam_obs.records.contributors import NO_SOURCE, UNKNOWN
from beam_obs.woven.batches import WovenBatchConverter, batch_process, yielding_batches
from beam_obs.woven.bundle_origins import BundleOrigins
from beam_obs.woven.gathered import flush_gathered
from beam_obs.woven.held_back import emits_at_the_end, looks_at_itself, unchecked
from beam_obs.woven.inference import inference_process
from beam_obs.woven.providers import WovenRestrictionProvider, WovenWatermarkEstimatorProvider
from beam_obs.woven.source_origins import TOLD, SourceOrigins, Stamper, own_origin, told_process
from beam_obs.woven.state import (
    HISTORY,
    HISTORY_PARAM,
    remembers,
    stateful_process,
    stateful_timer,
)
from beam_obs.wrapper.choosing_dofn import choosing_process
from beam_obs.wrapper.element_forms import MEMBERS, PLAIN, ROWS, SEED, WOVEN, Ends, packer, unpack
from beam_obs.wrapper.exception_note import noting
from beam_obs.wrapper.observed_dofn import ObservedDoFn
from beam_obs.wrapper.user_callable import DO_FN, FILTER, MAP, MAP_TUPLE, UserCallable, user_callable
from beam_obs.wrapper.woven_step import WovenStep, one_to_one, refuse_text

_MADE_ON_WORKERS = frozenset(
    {
        "process",
        "process_batch",
        "input_batch_converter",
        "output_batch_converter",
        "_called",
        "_step",
        "_arguments_of",
        "_stamper",
        "_history",
        "_timers",
        "_bundle",
        "_buffers",
        "_batched",
    }
)


@dataclasses.dataclass(frozen=True)
class WovenSettings:
    """How a step is woven.

    Args:
      label: full label of the step.
      takes: form of its elements.
      gives: form of its main output.
      tags: forms of its tagged outputs.
      limit: of contributors; None for all.
      source: how its outputs are stamped, where it takes an Impulse.
      window_fn: of its input, where that looks at elements.
      defaults_to_side: whether it is the step of a CombineGlobally that puts in the default, whose
        output comes from its side input.
      filtered_least: elements of which the step gives nothing are noted by a row to the tag `ROWS`, where
        the low 56 bits of their origin are at least this; None notes none.
      passes_summaries: whether an aggregate of Beam's own follows, so that what it gives when a bundle ends
        stands for several elements.
      keeps_batches: whether it gives lists of elements, those in which are counted.
      is_inference: whether it takes batches with the origins of their elements, and gives a result for each.
    """

    label: str
    takes: str
    gives: str
    tags: dict[str, str] = dataclasses.field(default_factory=dict)
    limit: int | None = None
    source: SourceOrigins | None = None
    window_fn: WindowFn | None = None
    defaults_to_side: bool = False
    filtered_least: int | None = None
    passes_summaries: bool = False
    keeps_batches: bool = False
    is_inference: bool = False

    @property
    def ends(self) -> Ends:
        """The forms of what the step takes and gives."""
        return Ends(self.takes, self.gives, self.tags, WOVEN if self.defaults_to_side else PLAIN)


class WovenPayload:
    """A ParDo's payload that holds the user's own bytes; unpickled it is what Beam expects of a payload.

    Args:
      payload: the user's DoFn, arguments and so on, as Beam pickled them.
      settings: of the step.
    """

    def __init__(self, payload: bytes, settings: WovenSettings) -> None:
        self._payload = payload
        self._settings = settings

    def __reduce__(self) -> Any:
        return (load_woven, (self._payload, self._settings))


def load_woven(payload: bytes, settings: WovenSettings) -> tuple[Any, ...]:
    """Returns Beam's tuple of a DoFn and its arguments, with the woven DoFn in it."""
    dofn, args, kwargs, *rest = pickler.loads(payload)
    return (WovenDoFn(dofn, args, kwargs, settings), args, kwargs, *rest)


class WovenDoFn(beam.DoFn):
    """Does what `dofn` does, and gives each output its provenance.

    Args:
      dofn: the user's DoFn.
      args: the arguments that Beam has for it, side inputs as placeholders.
      kwargs: the same by name.
      settings: how the step is woven.
    """

    input_batch_converter: Any = None
    output_batch_converter: Any = None
    _batched: int = 0

    def __init__(self, dofn: beam.DoFn, args: Any, kwargs: Any, settings: WovenSettings) -> None:
        self._dofn = dofn
        self._given = (args, kwargs)
        self._settings = settings
        self._bind()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _MADE_ON_WORKERS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._bind()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_dofn", "_timers"):
            raise AttributeError(name)
        timers = self.__dict__.get("_timers", {})
        if name in timers:
            return types.MethodType(timers[name], self)
        if name.startswith("_inspect_") and name[len("_inspect_") :] in timers:
            names, defaults = core.get_function_arguments(self._dofn, name[len("_inspect_") :])
            return lambda: ([*names, HISTORY], [*defaults, HISTORY_PARAM])
        return getattr(self._dofn, name)

    def __dir__(self) -> Iterable[str]:
        return ["process", *(name for name in dir(self._dofn) if name not in _OF_EVERY_DOFN)]

    def __repr__(self) -> str:
        return f"WovenDoFn({self._dofn!r})"

    # What Beam calls on workers.

    def setup(self) -> Any:
        return self._dofn.setup()

    def start_bundle(self) -> Any:
        self._bundle.clear()
        if self._settings.source is not None:
            self._stamper = Stamper(self._settings.source)
        return self._dofn.start_bundle()

    def finish_bundle(self) -> Any:
        results = self._dofn.finish_bundle()
        flush_gathered(self._batched)
        self._batched = 0
        if results is None and not self._buffers:
            return None
        return self._leftovers(results if results is not None else ())

    def teardown(self) -> Any:
        return self._dofn.teardown()

    # What Beam asks.

    @property
    def _process_defined(self) -> bool:
        return bool(self._dofn._process_defined)

    @property
    def _process_batch_defined(self) -> bool:
        return bool(self._dofn._process_batch_defined)

    @property
    def _process_yields_batches(self) -> bool:
        return bool(self._dofn._process_yields_batches)

    @property
    def _process_batch_yields_elements(self) -> bool:
        return bool(self._dofn._process_batch_yields_elements)

    def _inspect_process_batch(self) -> Any:
        return core.get_function_arguments(self._dofn, "process_batch")

    def get_type_hints(self) -> Any:
        return beam.typehints.decorators.IOTypeHints.empty()

    def default_type_hints(self) -> Any:
        return beam.typehints.decorators.IOTypeHints.empty()

    def infer_output_type(self, input_type: Any) -> Any:
        return beam.typehints.Any

    def display_data(self) -> dict[str, Any]:
        return dict(self._dofn.display_data())

    def default_label(self) -> str:
        return str(self._dofn.default_label())

    def _process_argspec_fn(self) -> Any:
        return self._dofn._process_argspec_fn()

    def _inspect_process(self) -> Any:
        return self._arguments_of

    def _inspect_setup(self) -> Any:
        return core.get_function_arguments(self._dofn, "setup")

    def _inspect_start_bundle(self) -> Any:
        return core.get_function_arguments(self._dofn, "start_bundle")

    def _inspect_finish_bundle(self) -> Any:
        return core.get_function_arguments(self._dofn, "finish_bundle")

    def _inspect_teardown(self) -> Any:
        return core.get_function_arguments(self._dofn, "teardown")

    # How it is put together.

    def _bind(self) -> None:
        dofn, settings = self._dofn, self._settings
        self._bundle = BundleOrigins(settings.label, settings.limit)
        self._timers: dict[str, Any] = {}
        pack = packer(settings.gives, settings.tags, settings.window_fn)
        if getattr(innermost(dofn), "refuses_others", False):
            pack = _with_own_origins(pack)
        if settings.keeps_batches:
            pack = self._counting(pack)
        self._step = WovenStep(settings.label, settings.takes, settings.gives, pack, settings.filtered_least)
        self._called = user_callable(dofn)
        if settings.source is not None:
            self._stamper = Stamper(settings.source)
        callable_only = isinstance(dofn, core.CallableWrapperDoFn)
        states, timers = (set(), set()) if callable_only else userstate.get_dofn_specs(dofn)
        is_stateful = bool(states or timers)
        names, defaults = core.get_function_arguments(dofn, "process")
        self._arguments_of = self._shown_arguments(names, defaults, is_stateful)
        self._buffers = not callable_only and emits_at_the_end(innermost(dofn))
        self._bind_batches()
        if is_stateful:
            process = self._bind_state({spec.name for spec in states}, timers)
        else:
            process = self._process(names, defaults)
        if hasattr(dofn.process, "unbounded_per_element"):
            process = _named(process)
            process.unbounded_per_element = True  # type: ignore[attr-defined]
        if is_stateful:
            # Beam looks for state and timers in methods only.
            self.process = types.MethodType(lambda _, *args, **kwargs: process(*args, **kwargs), self)
        else:
            self.process = process  # type: ignore[assignment]

    def _counting(self, pack: Callable[[bytes, Any], Any]) -> Callable[[bytes, Any], Any]:
        """Counts what is in the lists of a step whose outputs are a key and a list each."""

        def pack_and_count(provenance: bytes, result: Any) -> Any:
            if type(result) is tuple:  # not what a Stage around it refuses
                self._batched += len(result[1])
            return pack(provenance, result)

        return pack_and_count

    def _bind_batches(self) -> None:
        dofn, settings = self._dofn, self._settings
        taken, given = (
            getattr(dofn, "input_batch_converter", None),
            getattr(dofn, "output_batch_converter", None),
        )
        if taken is not None:
            self.input_batch_converter = WovenBatchConverter(taken, settings.takes)
        if given is not None:
            self.output_batch_converter = WovenBatchConverter(given, settings.gives)
        if dofn._process_batch_defined:
            gives_batches = not dofn._process_batch_yields_elements
            self.process_batch = batch_process(
                dofn.process_batch, self._step, settings.limit, gives_batches, given
            )

    def _shown_arguments(self, names: list[str], defaults: list[Any], is_stateful: bool) -> tuple[Any, Any]:
        takes, dofn = self._settings.takes, self._dofn
        shown: list[Any] = []
        for default in defaults:
            if isinstance(default, RestrictionDoFnParam):
                provider = default.restriction_provider or dofn
                shown.append(core.DoFn.RestrictionParam(WovenRestrictionProvider(provider, takes)))
            elif isinstance(default, WatermarkEstimatorParam):
                estimators = default.watermark_estimator_provider or dofn
                shown.append(
                    core.DoFn.WatermarkEstimatorParam(WovenWatermarkEstimatorProvider(estimators, takes))
                )
            elif takes == WOVEN and _is(default, core.DoFn.KeyParam):
                shown.append(core.DoFn.WindowedValueParam)
            else:
                shown.append(default)
        if is_stateful:
            return ([*names, HISTORY], [*shown, HISTORY_PARAM])
        return (list(names), shown)

    def _process(self, names: list[str], defaults: list[Any]) -> Callable[..., Any]:
        settings, called = self._settings, self._called
        element_at = _element_at(names, defaults)
        has_arguments = bool(self._given[0] or self._given[1] or defaults)
        if element_at:
            called = UserCallable(called.kind, _element_back(called.function, element_at))
        if settings.defaults_to_side:
            process = _from_side(_as_many(called), self._step)
        elif settings.source is not None and settings.source.kind == TOLD:
            process = told_process(called.function, self._step)
        elif settings.source is not None:
            process = self._stamping(_as_many(called))
        elif settings.takes == MEMBERS:
            process = choosing_process(unchecked(self._dofn).choose, self._step)
        elif settings.is_inference:
            splitter = getattr(self._dofn, "splitter", None)
            whole, alone = (called.function, None) if splitter is None else (splitter.whole, splitter.alone)
            process = inference_process(whole, self._step, settings.limit, alone)
        elif self._dofn._process_yields_batches:
            given = self._dofn.output_batch_converter
            process = yielding_batches(called.function, self._step, given)
        elif self._buffers and looks_at_itself(innermost(self._dofn)):
            process = self._holding(_as_many(called))
        else:
            process = self._one_to_one(called, has_arguments)
            if self._buffers:
                process = self._noting_bundle(process)
        process = self._with_plain_arguments(process, defaults, element_at)
        return _element_first(process, element_at) if element_at else process

    def _one_to_one(self, called: UserCallable, has_arguments: bool) -> Callable[..., Any]:
        step = self._step
        if self._buffers or self._dofn._process_batch_defined:
            # What an element gives may come later, or with others.
            step = step._replace(filtered_least=None)
        if isinstance(self._dofn, ObservedDoFn):
            process = self._dofn.woven(step)
            if process is not None:
                return process
        return one_to_one(called, step, has_arguments)

    def _with_plain_arguments(
        self, process: Callable[..., Any], defaults: list[Any], element_at: int
    ) -> Callable[..., Any]:
        """Turns windowed elements into what the user asked for: the key, or the plain windowed value."""
        takes = self._settings.takes
        if takes == SEED:
            return process
        wants = {
            at: bool(_is(default, core.DoFn.KeyParam))
            for at, default in enumerate(defaults)
            if _is(default, core.DoFn.WindowedValueParam)
            or (takes == WOVEN and _is(default, core.DoFn.KeyParam))
        }
        if not wants:
            return process
        placed = [
            at
            for at, placeholder in self._placeholders()
            if isinstance(placeholder, DoFnParam) and placeholder == core.DoFn.WindowedValueParam
        ]
        ((_, wants_key),) = wants.items()
        (at,) = placed
        if at > element_at:
            at -= 1

        def process_plain(element: Any, *args: Any, **kwargs: Any) -> Any:
            rest = list(args)
            _, value = unpack(takes, element)
            rest[at] = _key_of(value) if wants_key else args[at].with_value(value)
            return process(element, *rest, **kwargs)

        return process_plain

    def _placeholders(self) -> list[tuple[int, Any]]:
        self.process = lambda *args, **kwargs: None  # type: ignore[assignment]
        args, kwargs = self._given
        found, _, _ = get_arg_placeholders(
            MethodWrapper(self, "process"), list(args or ()), dict(kwargs or {})
        )
        return list(found)

    def _bind_state(self, states: set[str], timers: Any) -> Callable[..., Any]:
        names, limit = frozenset(states), self._settings.limit
        for timer in timers:
            callback = timer._attached_callback
            if callback is not None:
                self._timers[callback.__name__] = self._timer(callback.__name__, names)
        refuse = refuse_text if self._called.kind == DO_FN else _accept
        at = {
            placeholder.state_spec.name: position
            for position, placeholder in self._placeholders()
            if isinstance(placeholder, StateDoFnParam)
        }
        history_at = at.pop(HISTORY)
        if not remembers(unchecked(innermost(self._dofn))):
            at.clear()
        names_of_process, defaults = core.get_function_arguments(self._dofn, "process")
        element_at = _element_at(names_of_process, defaults)
        function = self._called.function
        if element_at:
            function = _element_back(function, element_at)

        def moved(position: int) -> int:
            return position + 1 if position < element_at else position

        process = stateful_process(
            function,
            self._step,
            limit,
            names,
            moved(history_at),
            {moved(position): name for name, position in at.items()},
            refuse,
        )
        return _element_first(process, element_at) if element_at else process

    def _timer(self, name: str, states: frozenset[str]) -> _WovenTimer:
        callback = getattr(self._dofn, name)
        names, defaults = core.get_function_arguments(self._dofn, name)
        state_names = {
            argument: default.state_spec.name
            for argument, default in zip(names[len(names) - len(defaults) :], defaults, strict=True)
            if isinstance(default, StateDoFnParam)
        }
        return _WovenTimer(
            callback, stateful_timer(callback, self._step, self._settings.limit, states, state_names)
        )

    def _stamping(self, function: Callable[..., Any]) -> Callable[..., Any]:
        step = self._step
        refuse = refuse_text if self._called.kind == DO_FN else _accept

        def woven_process(element: Any, *args: Any, **kwargs: Any) -> Any:
            return stamped(function(element, *args, **kwargs))

        def stamped(results: Any) -> Iterator[Any]:
            refuse(results)
            for result in results if results is not None else ():
                yield step.pack(self._stamper.stamp(result), result)

        return woven_process

    def _holding(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """For a DoFn that holds elements back: each output may come from any element of the bundle so far."""
        step, note, bundle = self._step, noting(self._step.label), self._bundle
        refuse = refuse_text if self._called.kind == DO_FN else _accept

        def woven_process(element: Any, *args: Any, **kwargs: Any) -> Any:
            provenance, value = unpack(step.takes, element)
            bundle.take(provenance)
            try:
                results = function(value, *args, **kwargs)
                refuse(results)
            except Exception as error:
                note(error, provenance)
                raise error
            return woven_results(provenance, results)

        def woven_results(provenance: bytes, results: Any) -> Iterator[Any]:
            try:
                for result in results if results is not None else ():
                    yield step.pack(bundle.origin(), result)
            except Exception as error:
                note(error, provenance)
                raise error

        return woven_process

    def _noting_bundle(self, process: Callable[..., Any]) -> Callable[..., Any]:
        takes, take = self._step.takes, self._bundle.take

        def noting_process(element: Any, *args: Any, **kwargs: Any) -> Any:
            take(unpack(takes, element)[0])
            return process(element, *args, **kwargs)

        return noting_process

    def _leftovers(self, results: Any) -> Iterator[Any]:
        bundle, settings = self._bundle, self._settings
        bundle.finish()
        for result in results:
            if settings.source is not None:
                provenance = self._stamper.stamp(result)
            elif settings.passes_summaries:
                provenance = bundle.summary()
            else:
                provenance = bundle.origin() if self._buffers else UNKNOWN
            yield self._step.pack(provenance, result)
        for row in bundle.rows():
            yield TaggedOutput(ROWS, GlobalWindows.windowed_value(row))


class _WovenTimer:
    """A timer's callback. Beam knows a callback by comparing it: this one equals the user's."""

    def __init__(self, callback: Any, process: Callable[..., Any]) -> None:
        self._callback = callback
        self._process = process

    def __eq__(self, other: object) -> bool:
        return other is self._callback.__func__ or other == self._callback.__func__ or other is self

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._callback.__func__)

    def __call__(self, _: Any, **kwargs: Any) -> Any:
        return self._process(**kwargs)


def innermost(dofn: Any) -> Any:
    """Returns the user's DoFn inside of a stage's."""
    while isinstance(dofn, ObservedDoFn):
        dofn = dofn._dofn
    return dofn


_OF_EVERY_DOFN = frozenset(dir(beam.DoFn))


def _accept(results: Any) -> None:
    """Takes results of any kind: a FlatMap may return text."""


def _is(default: Any, param: Any) -> bool:
    return isinstance(default, DoFnParam) and default == param


def _element_at(names: list[str], defaults: list[Any]) -> int:
    for position, default in enumerate(defaults):
        if _is(default, core.DoFn.ElementParam):
            return len(names) - len(defaults) + position
    return 0


def _element_back(function: Callable[..., Any], element_at: int) -> Callable[..., Any]:
    def process(element: Any, *args: Any, **kwargs: Any) -> Any:
        return function(*args[:element_at], element, *args[element_at:], **kwargs)

    return process


def _element_first(process: Callable[..., Any], element_at: int) -> Callable[..., Any]:
    def process_element(*args: Any, **kwargs: Any) -> Any:
        return process(args[element_at], *args[:element_at], *args[element_at + 1 :], **kwargs)

    return process_element


def _named(process: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: process(*args, **kwargs)


def _as_many(called: UserCallable) -> Callable[..., Any]:
    """Returns the user's callable as a function that gives any number of results."""
    function = called.function
    if called.kind == MAP:
        return lambda element, *args, **kwargs: [function(element, *args, **kwargs)]
    if called.kind == MAP_TUPLE:
        return lambda element, *args, **kwargs: [function(*element, *args, **kwargs)]
    if called.kind == FILTER:
        return lambda element, *args, **kwargs: [element] if function(element, *args, **kwargs) else []
    return function


def _from_side(function: Callable[..., Any], step: WovenStep) -> Callable[..., Any]:
    """For the default of a CombineGlobally: the output comes from the side input, which is woven."""

    def process(element: Any, side: Any) -> Any:
        _, value = unpack(step.takes, element)
        combined = list(side)
        origin = combined[0][0] if combined else NO_SOURCE
        return [step.pack(origin, result) for result in function(value, [value for _, value in combined])]

    return process


def _with_own_origins(pack: Callable[[bytes, Any], Any]) -> Callable[[bytes, Any], Any]:
    """For a step that refuses others than its element: what is refused has the origin that it brings."""
    return lambda provenance, result: pack(own_origin(result) or provenance, result)


def _key_of(value: Any) -> Any:
    try:
        key, _ = value
    except (TypeError, ValueError):
        raise ValueError(
            f"Input value to a stateful DoFn or KeyParam must be a KV tuple; instead, got '{value}'."
        ) from None
    return key
