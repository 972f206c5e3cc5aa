"""What pages keep of the runs of a store."""

from __future__ import annotations

import time

from beam_obs.web.stored_runs import StoredRuns
from tests.web.conftest import Served


def test_what_there_is_no_time_for_is_read_by_the_next_page(served: Served) -> None:
    runs = StoredRuns(served.store)
    ids = runs.ids()
    assert runs.summaries(ids, time.monotonic()) == {}
    assert len(runs.summaries(ids, time.monotonic() + 600)) == len(ids)
    assert len(runs.summaries(ids, time.monotonic())) == len(ids)


def test_the_last_success_is_sure_where_all_before_it_were_read(served: Served) -> None:
    runs = StoredRuns(served.store)
    newest, _ = runs.ids("orders")[0]
    found, is_sure = runs.last_success(runs.ids())
    assert found is not None
    assert (found.id, is_sure) == (newest, True)
    assert runs.last_success(runs.ids("broken-orders")) == (None, True)
    assert StoredRuns(served.store).last_success(runs.ids(), time.monotonic()) == (None, False)
