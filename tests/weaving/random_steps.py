"""Steps of all kinds for random pipelines, whose values carry the numbers of the records they came from."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.transforms import trigger, userstate, window

from tests.weaving.steps_of_ours import STEPS_OF_OURS

# A value is (key, numbers of the source records that it came from).
Value = tuple[int, frozenset[int]]


def _union(values: Any) -> frozenset[int]:
    return frozenset().union(*values)


def _of_group(key: int, values: Any) -> Value:
    return key, _union(values)


class Union(beam.CombineFn):
    """Takes arguments, as a CombineFn of a user's may, in all its methods."""

    def create_accumulator(self, *_: Any, **__: Any) -> Any:
        return frozenset()

    def add_input(self, accumulator: Any, value: Any, *_: Any, **__: Any) -> Any:
        return accumulator | value

    def merge_accumulators(self, accumulators: Any, *_: Any, **__: Any) -> Any:
        return _union(accumulators)

    def compact(self, accumulator: Any, *_: Any, **__: Any) -> Any:
        return accumulator

    def extract_output(self, accumulator: Any, *_: Any, **__: Any) -> Any:
        return accumulator


class HoldBack(beam.DoFn):
    """Gives all that it took when the bundle ends."""

    def start_bundle(self) -> None:
        self._held: set[int] = set()

    def process(self, value: Value) -> None:
        self._held |= value[1]

    def finish_bundle(self) -> Any:
        if self._held:
            yield window.GlobalWindows.windowed_value((0, frozenset(self._held)))


class InState(beam.DoFn):
    """Gives every third time what a key has seen, and forgets it; the rest when the window ends."""

    SEEN = userstate.BagStateSpec("seen", beam.coders.PickleCoder())
    COUNT = userstate.CombiningValueStateSpec("count", sum)
    END = userstate.TimerSpec("end", userstate.TimeDomain.WATERMARK)
    SEEN_PARAM = beam.DoFn.StateParam(SEEN)
    COUNT_PARAM = beam.DoFn.StateParam(COUNT)
    END_PARAM = beam.DoFn.TimerParam(END)

    def process(
        self,
        value: Value,
        seen: Any = SEEN_PARAM,
        count: Any = COUNT_PARAM,
        end: Any = END_PARAM,
        limits: Any = beam.DoFn.WindowParam,
    ) -> Any:
        key, numbers = value
        yield value
        end.set(limits.max_timestamp())
        seen.add(numbers)
        count.add(1)
        if count.read() == 3:
            everything = _union(seen.read())
            yield key, everything
            seen.clear()
            count.clear()

    @userstate.on_timer(END)
    def at_the_end(
        self,
        key: Any = beam.DoFn.KeyParam,
        seen: Any = SEEN_PARAM,
        count: Any = COUNT_PARAM,
    ) -> Any:
        rest = _union(seen.read())
        if rest:
            yield key, rest
        seen.clear()
        count.clear()


class Tagging(beam.DoFn):
    def process(self, value: Value) -> Any:
        yield value if value[0] % 2 else beam.pvalue.TaggedOutput("even", value)


def _globally(pcoll: Any, name: str) -> Any:
    return pcoll | f"{name} globally" >> beam.WindowInto(window.GlobalWindows())


def _stamped(pcoll: Any, name: str) -> Any:
    return pcoll | f"{name} stamps" >> beam.Map(lambda value: window.TimestampedValue(value, min(value[1])))


def _group(pcoll: Any, name: str) -> Any:
    return (
        pcoll
        | name >> beam.GroupByKey()
        | f"{name} u" >> beam.MapTuple(lambda key, all_: (key, _union(all_)))
    )


def _windows(pcoll: Any, name: str, windows: Any) -> Any:
    windowed = _stamped(pcoll, name) | f"{name} w" >> beam.WindowInto(windows)
    return _globally(_group(windowed, name), name)


def _panes(pcoll: Any, name: str) -> Any:
    windows = beam.WindowInto(
        window.FixedWindows(20),
        trigger=trigger.Repeatedly(trigger.AfterCount(3)),
        accumulation_mode=trigger.AccumulationMode.DISCARDING,
    )
    return _globally(_group(_stamped(pcoll, name) | f"{name} w" >> windows, name), name)


def _in_state(pcoll: Any, name: str) -> Any:
    keyed = pcoll | f"{name} typed" >> beam.Map(lambda value: value).with_output_types(tuple[int, frozenset])
    return _globally(
        _stamped(keyed, name)
        | f"{name} w" >> beam.WindowInto(window.FixedWindows(5))
        | name >> beam.ParDo(InState()),
        name,
    )


def _beside(pcoll: Any, name: str) -> Any:
    return pcoll | name >> beam.Map(
        lambda value, others: (value[0] + len(others) % 2, value[1]), beam.pvalue.AsList(pcoll)
    )


def _tagged(pcoll: Any, name: str) -> Any:
    odd, even = pcoll | name >> beam.ParDo(Tagging()).with_outputs("even", main="odd")
    return (
        odd,
        even | f"{name} half" >> beam.MapTuple(lambda key, numbers: (key // 2, numbers)),
    ) | f"{name} f" >> beam.Flatten()


def _co_group(pcoll: Any, name: str) -> Any:
    other = pcoll | f"{name} other" >> beam.MapTuple(lambda key, numbers: (key + 1, numbers))
    return (
        {"one": pcoll, "other": other}
        | name >> beam.CoGroupByKey()
        | f"{name} u" >> beam.MapTuple(lambda key, found: (key, _union([*found["one"], *found["other"]])))
    )


def _batch(pcoll: Any, name: str) -> Any:
    return (
        pcoll
        | name >> beam.BatchElements(min_batch_size=2, max_batch_size=3)
        | f"{name} u" >> beam.Map(lambda batch: (len(batch), _union(numbers for _, numbers in batch)))
    )


def _in_batches(pcoll: Any, name: str) -> Any:
    return (
        pcoll
        | name >> beam.GroupIntoBatches(2)
        | f"{name} u" >> beam.MapTuple(lambda key, all_: (key, _union(all_)))
    )


def _keys(pcoll: Any, name: str) -> Any:
    return beam.pvalue.AsIter(pcoll | f"{name} keys" >> beam.Keys())


def _union_with(values: Any, number: int, keys: Any = (), text: str = "") -> frozenset[int]:
    """A function as people combine with: what it is given beside the values changes nothing."""
    assert number == 3
    assert text == "text"
    return _union(values)


def _global(pcoll: Any, name: str, combine: Any) -> Any:
    return (
        pcoll
        | f"{name} v" >> beam.Values()
        | name >> combine
        | f"{name} n" >> beam.Filter(bool)
        | f"{name} k" >> beam.Map(lambda numbers: (7, numbers))
    )


def _values(pcoll: Any, name: str, combine: Any) -> Any:
    return pcoll | name >> beam.GroupByKey() | f"{name} c" >> combine


STEPS: dict[str, Any] = {
    "map": lambda pcoll, name: pcoll | name >> beam.MapTuple(lambda key, numbers: (key % 3, numbers)),
    "filter": lambda pcoll, name: pcoll | name >> beam.Filter(lambda value: sum(value[1]) % 4),
    "flat map": lambda pcoll, name: (
        pcoll | name >> beam.FlatMap(lambda value: [value, (value[0] + 1, value[1])])
    ),
    "group": _group,
    "combine": lambda pcoll, name: pcoll | name >> beam.CombinePerKey(Union()),
    "combine a function": lambda pcoll, name: pcoll | name >> beam.CombinePerKey(_union),
    "hot keys": lambda pcoll, name: pcoll | name >> beam.CombinePerKey(Union()).with_hot_key_fanout(3),
    "combine with arguments": lambda pcoll, name: (
        pcoll | name >> beam.CombinePerKey(_union_with, 3, text="text")
    ),
    "hot keys with arguments": lambda pcoll, name: (
        pcoll | name >> beam.CombinePerKey(_union_with, 3, text="text").with_hot_key_fanout(3)
    ),
    "globally": lambda pcoll, name: _global(pcoll, name, beam.CombineGlobally(Union())),
    "globally with arguments": lambda pcoll, name: _global(
        pcoll, name, beam.CombineGlobally(Union(), 3, text="text")
    ),
    "globally with side inputs": lambda pcoll, name: _global(
        pcoll, name, beam.CombineGlobally(Union(), 3, keys=_keys(pcoll, name)).without_defaults()
    ),
    "combine with side inputs": lambda pcoll, name: (
        pcoll | name >> beam.CombinePerKey(Union(), _keys(pcoll, name))
    ),
    "combine with arguments and side inputs": lambda pcoll, name: (
        pcoll | name >> beam.CombinePerKey(_union_with, 3, _keys(pcoll, name), text="text")
    ),
    "co-group": _co_group,
    "reshuffle": lambda pcoll, name: pcoll | name >> beam.Reshuffle(),
    "fixed windows": lambda pcoll, name: _windows(pcoll, name, window.FixedWindows(4)),
    "sliding windows": lambda pcoll, name: _windows(pcoll, name, window.SlidingWindows(6, 3)),
    "sessions": lambda pcoll, name: _windows(pcoll, name, window.Sessions(2)),
    "panes": _panes,
    "state": _in_state,
    "side input": _beside,
    "tags": _tagged,
    "batch": _batch,
    "group into batches": _in_batches,
    "groups of values": lambda pcoll, name: _values(pcoll, name, beam.CombineValues(Union())),
    "groups of values with arguments": lambda pcoll, name: _values(
        pcoll, name, beam.CombineValues(_union_with, 3, text="text")
    ),
    "groups of values with side inputs": lambda pcoll, name: _values(
        pcoll, name, beam.CombineValues(Union(), 3, keys=_keys(pcoll, name))
    ),
    **STEPS_OF_OURS,
}
SUPERSETS: dict[str, Any] = {"hold back": lambda pcoll, name: pcoll | name >> beam.ParDo(HoldBack())}


def typed(pcoll: Any, name: str) -> Any:
    return pcoll | f"{name} typed" >> beam.Map(lambda value: value).with_output_types(tuple[int, frozenset])


# Steps of streams: they keep the time that an element has, and close windows as the watermark passes.


def _fired(windows: Any, when: Any, mode: Any, combines: bool = False) -> Any:
    def apply(pcoll: Any, name: str) -> Any:
        windowed = pcoll | f"{name} w" >> beam.WindowInto(
            windows, trigger=when, accumulation_mode=mode, allowed_lateness=30
        )
        if combines:
            return windowed | name >> beam.CombinePerKey(Union())
        return _group(windowed, name)

    return apply


def _stateful(pcoll: Any, name: str) -> Any:
    windowed = pcoll | f"{name} w" >> beam.WindowInto(window.FixedWindows(10), allowed_lateness=30)
    return windowed | name >> beam.ParDo(InState())


_EARLY_AND_LATE = trigger.AfterWatermark(early=trigger.AfterCount(2), late=trigger.AfterCount(1))
_DISCARDING, _ACCUMULATING = trigger.AccumulationMode.DISCARDING, trigger.AccumulationMode.ACCUMULATING
STREAM_STEPS: dict[str, Any] = {
    **{name: STEPS[name] for name in ("map", "filter", "flat map", "reshuffle", "tags")},
    "discarded panes": _fired(window.FixedWindows(10), _EARLY_AND_LATE, _DISCARDING),
    "accumulated panes": _fired(window.FixedWindows(10), _EARLY_AND_LATE, _ACCUMULATING),
    "sliding panes": _fired(window.SlidingWindows(10, 5), _EARLY_AND_LATE, _DISCARDING),
    "combined panes": _fired(window.FixedWindows(10), _EARLY_AND_LATE, _ACCUMULATING, combines=True),
    "sessions": _fired(window.Sessions(3), trigger.DefaultTrigger(), _DISCARDING),
    "every third": _fired(
        window.GlobalWindows(), trigger.Repeatedly(trigger.AfterCount(3)), _DISCARDING, combines=True
    ),
    "state": _stateful,
    "check": STEPS_OF_OURS["check"],
    "unique": lambda pcoll, name: STEPS_OF_OURS["unique"](
        pcoll | f"{name} w" >> beam.WindowInto(window.FixedWindows(10), allowed_lateness=30), name
    ),
}
