"""The page of a run, and of a step of it: the same numbers and words as the report."""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any
from urllib.parse import quote_plus

import pytest
from lxml import html

from beam_obs.store.run_record import RunRecord, now_text
from tests.web.conftest import Served, serving


def run_of(served: Served, pipeline: str, back: int = 0) -> RunRecord:
    return served.store.find(f"{pipeline}@latest~{back}")


def page_of(served: Served, path: str) -> html.HtmlElement:
    answer = served.get(path)
    assert answer.status == 200, answer.text
    return html.fromstring(answer.text)


def step_path(run: str, label: str) -> str:
    return f"/runs/{run}/step?label={quote_plus(label)}"


def said(element: Any) -> str:
    return " ".join(" ".join(element.itertext()).split())


def rows_of(page: html.HtmlElement, selector: str) -> list[list[str]]:
    return [[said(cell) for cell in row.iter("td")] for row in page.cssselect(f"{selector} tbody tr")]


def test_a_run_says_what_its_report_says(served: Served) -> None:
    record = run_of(served, "orders")
    page = page_of(served, f"/runs/{record.id}")
    text = said(page)
    assert record.id in text
    assert said(page.cssselect("#run-title")[0]) == f"orders done {record.refused} dead"
    rows = {row[0]: row[1:5] for row in rows_of(page, "table.steps")}
    assert rows["parse"] == ["61", "48", "13", "0"]
    assert rows["total"][:2] == ["48", "6"]
    assert "balanced: every record is accounted for" in said(page.cssselect("#run-notes")[0])
    assert "lineage:" in text
    assert "no such customer: 'customer-6'" in said(page.cssselect("#run-refusals")[0])
    (inputs,) = [row for row in rows_of(page, "#run-data table") if "orders.csv" in row[1]]
    assert inputs[2] == "61"
    assert inputs[5]
    assert f"beam-obs dead-letters list {record.id[:13]}" in text


def test_the_graph_has_each_step_and_edge_and_leads_to_the_steps(served: Served) -> None:
    record = run_of(served, "orders")
    page = page_of(served, f"/runs/{record.id}")
    steps = page.cssselect("#graph-drawing a")
    assert [step.get("href") for step in steps if "parse" in step.get("href")] == [
        step_path(record.id, "parse")
    ]
    assert [said(one) for one in steps[0].iter("text")] == ["read", "reads orders.csv"]
    counts = {
        edge.get("data-from"): edge.get("data-count") for edge in page.cssselect("#graph-drawing g.edge")
    }
    assert (counts["read"], counts["parse"]) == ("61", "48")


def test_lines_are_as_wide_as_their_counts(served: Served) -> None:
    page = page_of(served, f"/runs/{run_of(served, 'orders').id}")
    wide, narrow = (
        float(page.cssselect(f'#graph-drawing g.edge[data-from="{step}"] path.line')[0].get("stroke-width"))
        for step in ("read", "total")
    )
    assert wide > narrow


def test_no_page_has_a_style_of_its_own_that_the_policy_would_refuse(served: Served) -> None:
    record = run_of(served, "orders")
    for path in (f"/runs/{record.id}", step_path(record.id, "parse")):
        page = page_of(served, path)
        assert page.xpath("//*[@style]") == []
        assert page.xpath("//style | //script[not(@src)]") == []


def test_a_run_leads_to_what_differs_from_the_one_before(served: Served) -> None:
    newest, before = run_of(served, "orders"), run_of(served, "orders", 1)
    links = [link.get("href") for link in page_of(served, f"/runs/{newest.id}").iter("a")]
    assert f"/differences/{before.id}/{newest.id}" in links
    first = page_of(served, f"/runs/{run_of(served, 'orders', 3).id}")
    assert [link for link in first.iter("a") if "/differences/" in (link.get("href") or "")] == []


def test_a_failed_run_says_where_and_at_which_record(served: Served) -> None:
    record = run_of(served, "broken-orders")
    page = page_of(served, f"/runs/{record.id}")
    failure = said(page.cssselect(".failure")[0])
    assert "ValueError: " in failure
    assert "at step parse" in failure
    assert [one.get("data-step") for one in page.cssselect("#graph-drawing g.step.failed")] == ["parse"]
    step = page_of(served, step_path(record.id, "parse"))
    assert "the run failed here" in said(step)


def test_a_step_has_its_counts_times_kinds_and_code(served: Served) -> None:
    record = run_of(served, "orders")
    page = page_of(served, step_path(record.id, "parse"))
    step = page.cssselect("#step")[0]
    assert said(step.cssselect(".counts")[0]) == "in 61 out 48 dead 13 21.3 % filtered 0"
    buckets = step.cssselect(".histogram tbody tr")
    assert sum(int(bucket.cssselect("td.number")[0].text) for bucket in buckets) > 0
    kinds = [said(kind.cssselect(".kind-count")[0]).split()[0] for kind in step.cssselect(".kinds li")]
    assert sorted(map(int, kinds)) == [6, 7]
    samples = [sample.get("href") for sample in step.cssselect(".samples a.mono")]
    assert samples
    assert all(address.startswith(f"/dead-letters/{record.id}") for address in samples)
    digest = next(iter(record.start["step_code"]["steps"]["parse/Observed"]))
    assert digest in said(step)
    assert "takes 61 from read" in said(step)


def test_every_link_of_a_run_and_of_its_steps_leads_to_a_page(served: Served) -> None:
    record = run_of(served, "orders")
    links: set[str] = set()
    for path in (f"/runs/{record.id}", step_path(record.id, "parse"), step_path(record.id, "write")):
        links |= {address for address in page_of(served, path).xpath("//a/@href") if address[0] == "/"}
    assert len(links) > 15
    assert {link: status for link in links if (status := served.get(link).status) != 200} == {}


def test_a_step_that_a_run_does_not_have_is_said_with_the_nearest(served: Served) -> None:
    answer = served.get(step_path(run_of(served, "orders").id, "prase"))
    assert answer.status == 404
    assert "parse" in answer.text
    assert served.get(f"/runs/{run_of(served, 'orders').id}/step").status == 404


@pytest.fixture
def own(served: Served, tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with a store of one run, to be changed."""
    record = run_of(served, "orders")
    shutil.copytree(served.folder / "store" / record.folder, tmp_path / "store" / record.folder)
    return tmp_path / "store" / record.folder


def change(path: pathlib.Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def as_running(folder: pathlib.Path) -> None:
    """Makes a run look as one that another machine runs."""
    end = json.loads((folder / "end.json").read_text())
    (folder / "end.json").unlink()
    counts = {name: end[name] for name in ("counts_from", "stages", "steps", "edges", "composites")}
    history = [{"seconds": float(at), "in": 20 * at + 1, "dead": 13} for at in range(4)]
    (folder / "live.json").write_text(json.dumps({"at": now_text(), **counts, "history": history}))
    change(folder / "start.json", process={"machine": "another", "pid": 1})
    (folder / "heartbeat.json").write_text(json.dumps({"at": now_text()}))


def page_of_own(folder: pathlib.Path) -> html.HtmlElement:
    with serving(folder.parents[3]) as served:
        return page_of(served, f"/runs/{folder.name}")


def test_a_run_that_runs_is_asked_for_again_and_says_as_of_when(own: pathlib.Path) -> None:
    as_running(own)
    page = page_of_own(own)
    (poll,) = page.cssselect("#poll")
    assert poll.get("hx-get") == f"/runs/{own.name}"
    # Each part that is swapped is there.
    parts = (poll.get("hx-select-oob") or "").split(",")
    assert [part for part in parts if len(page.cssselect(part)) != 1] == []
    assert "61 records, 13 refused, 20 a second · as of 2" in said(page.cssselect("#as-of")[0])
    assert {row[0]: row[1:4] for row in rows_of(page, "table.steps")}["parse"] == ["61", "48", "13"]
    assert page.cssselect("#graph-drawing a")
    assert page.cssselect("#run-notes li") == []
    assert f"beam-obs show {own.name[:13]} --follow" in said(page.cssselect("#run-next")[0])


def test_a_run_says_what_was_lost_of_its_traces(own: pathlib.Path) -> None:
    change(own / "end.json", telemetry={"telemetry_lost": 1200, "traceparents_ignored": 2})

    notes = said(page_of_own(own).cssselect("#run-notes")[0])

    assert "1,200 spans or log lines reached nobody" in notes
    assert "2 records came with a malformed traceparent, which was ignored" in notes


def test_a_run_that_has_ended_is_not_asked_for_again(served: Served) -> None:
    (poll,) = page_of(served, f"/runs/{run_of(served, 'orders').id}").cssselect("#poll")
    assert poll.get("hx-get") is None


def test_a_lost_a_submitted_and_a_damaged_run_say_so(own: pathlib.Path) -> None:
    as_running(own)
    (own / "live.json").unlink()
    (own / "heartbeat.json").write_text(json.dumps({"at": now_text(), "left": True}))
    lost = page_of_own(own)
    assert "How it ended nobody knows" in said(lost.cssselect("#run-notices")[0])
    assert "No steps are known" in said(lost.cssselect("#graph-part")[0])

    left = {"at": now_text(), "left": True, "outlives_launcher": True, "job_id": "job-7"}
    (own / "heartbeat.json").write_text(json.dumps(left))
    submitted = page_of_own(own)
    assert "the job goes on without it as job job-7" in said(submitted.cssselect("#run-notices")[0])
    assert submitted.cssselect("#poll")[0].get("hx-get")
    assert f"beam-obs watch {own.name[:13]}" in said(submitted.cssselect("#run-next")[0])

    (own / "end.json").write_text("{torn")
    damaged = page_of_own(own)
    assert "nothing of its end can be read" in said(damaged.cssselect("#run-notices")[0])


def test_a_template_says_what_its_jobs_leave(own: pathlib.Path) -> None:
    (own / "end.json").unlink()
    change(own / "start.json", template="gs://bucket/template", sealed=False)
    assert "A classic template of Dataflow: gs://bucket/template" in said(page_of_own(own))


def test_what_a_store_says_is_shown_as_text_alone(own: pathlib.Path) -> None:
    hostile = "<script>alert(1)</script>\x1b[31m" + "x" * 200
    end = json.loads((own / "end.json").read_text())
    text = json.dumps(end).replace('"parse"', json.dumps(hostile))
    (own / "end.json").write_text(text)
    change(own / "start.json", runner=hostile, job_id=hostile, options={hostile: hostile})
    with serving(own.parents[3]) as served:
        for path in (f"/runs/{own.name}", step_path(own.name, hostile)):
            answer = served.get(path)
            assert answer.status == 200
            assert "<script>alert" not in answer.text
            assert "\x1b" not in answer.text
            assert "&lt;script&gt;alert" in answer.text
