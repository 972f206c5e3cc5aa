"""What Beam asks of a DoFn is answered for the user's, by whichever DoFn stands in for it."""

# ruff: noqa: B008 - Beam wants its parameters as defaults.

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.internal import pickler
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.runners.common import DoFnSignature
from apache_beam.transforms import userstate
from apache_beam.transforms.core import RestrictionProvider

from beam_obs.records.run_context import ObservationSettings, RunContext
from beam_obs.woven.step_settings import WovenSettings
from beam_obs.woven.woven_dofn import WovenDoFn
from beam_obs.wrapper.element_forms import KEYED, WOVEN
from beam_obs.wrapper.guard import GuardSettings
from beam_obs.wrapper.observed_dofn import ObservedDoFn
from beam_obs.wrapper.stand_in_dofn import StandInDoFn, innermost


class Windowed(beam.DoFn):
    def process(self, element: Any, window: Any = beam.DoFn.WindowParam) -> Any:
        yield element, window


class WithState(beam.DoFn):
    SEEN = userstate.BagStateSpec("seen", VarIntCoder())
    END = userstate.TimerSpec("end", userstate.TimeDomain.WATERMARK)

    def process(
        self,
        pair: tuple[str, int],
        seen: Any = beam.DoFn.StateParam(SEEN),
        end: Any = beam.DoFn.TimerParam(END),
    ) -> Any:
        yield pair

    @userstate.on_timer(END)
    def at_the_end(self, seen: Any = beam.DoFn.StateParam(SEEN)) -> Any:
        yield from seen.read()


class Splittable(beam.DoFn, RestrictionProvider):
    """Its own provider, and never ends."""

    @beam.DoFn.unbounded_per_element()
    def process(self, size: int, tracker: Any = beam.DoFn.RestrictionParam()) -> Any:
        yield size

    def initial_restriction(self, size: int) -> OffsetRange:
        return OffsetRange(0, size)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return OffsetRestrictionTracker(restriction)

    def restriction_size(self, size: int, restriction: OffsetRange) -> int:
        return restriction.size()


class OfBatches(beam.DoFn):
    def process_batch(self, batch: list[int]) -> Any:
        yield batch


class ElementLast(beam.DoFn):
    def process(self, time: Any = beam.DoFn.TimestampParam, element: Any = beam.DoFn.ElementParam) -> Any:
        yield element, time


DOFNS = (Windowed, WithState, Splittable, OfBatches, ElementLast)


def stage(dofn: beam.DoFn) -> ObservedDoFn:
    return ObservedDoFn(dofn, GuardSettings("step", RunContext("p", "r"), ObservationSettings()))


def woven(dofn: beam.DoFn) -> WovenDoFn:
    takes = KEYED if isinstance(innermost(dofn), WithState) else WOVEN
    return WovenDoFn(dofn, (), {}, WovenSettings("step", takes, WOVEN))


STANDING_IN = {
    "a Stage": stage,
    "a woven step": woven,
    "a woven Stage": lambda dofn: woven(stage(dofn)),
    "after a journey": lambda dofn: pickler.loads(pickler.dumps(woven(stage(dofn)))),
}

each_stand_in = pytest.mark.parametrize("make", STANDING_IN.values(), ids=STANDING_IN)
each_dofn = pytest.mark.parametrize("kind", DOFNS)


@each_dofn
@each_stand_in
def test_beam_sees_the_users_dofn(kind: Any, make: Any) -> None:
    users, dofn = kind(), make(kind())
    ours, theirs = DoFnSignature(dofn), DoFnSignature(users)

    assert ours.is_stateful_dofn() == theirs.is_stateful_dofn()
    assert ours.is_splittable_dofn() == theirs.is_splittable_dofn()
    assert ours.is_unbounded_per_element() == theirs.is_unbounded_per_element()
    assert (dofn._process_defined, dofn._process_batch_defined) == (
        users._process_defined,
        users._process_batch_defined,
    )
    assert [name for name in ours.process_method.args if "beam_obs" not in name] == theirs.process_method.args
    assert dofn.default_label() == users.default_label()


@each_dofn
@each_stand_in
def test_one_dofn_stands_in_for_the_users(kind: Any, make: Any) -> None:
    dofn = make(kind())

    assert isinstance(dofn, StandInDoFn)
    assert type(dofn._dofn) is kind
    assert innermost(dofn) is dofn._dofn


@each_stand_in
def test_a_timer_is_known_by_the_users_callback(make: Any) -> None:
    states, timers = userstate.get_dofn_specs(make(WithState()))

    assert {spec.name for spec in timers} == {WithState.END.name}
    assert {spec.name for spec in states} >= {"seen"}


@each_stand_in
def test_what_it_lacks_the_stand_in_lacks(make: Any) -> None:
    assert not hasattr(make(Windowed()), "nothing_of_the_kind")


@each_stand_in
def test_a_stage_gives_elements_of_batches_as_its_refusals_are(make: Any) -> None:
    dofn = make(OfBatches())

    assert dofn._can_yield_batches == (make is woven)
    assert getattr(dofn.process_batch, "_beam_yields_elements", False) == (make is not woven)
