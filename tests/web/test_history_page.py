"""What the page of a pipeline says of its runs."""

from __future__ import annotations

import lxml.html

from tests.web.conftest import Served


def runs_on(served: Served, path: str) -> list[dict[str, str]]:
    """Returns the rows of the table, each by the names of the columns that curves are drawn of."""
    document = lxml.html.fromstring(served.get(path).text)
    return [
        {cell.get("data-series"): cell.get("data-value") for cell in row.xpath("./td[@data-series]")}
        for row in document.xpath("//table[@id='runs']/tbody/tr")
    ]


def test_a_history_tells_what_each_run_took_wrote_and_refused(served: Served) -> None:
    runs = runs_on(served, "/pipelines/orders")
    assert [run["taken"] for run in runs] == ["61", "61", "60", "60"]
    assert [run["dead"] for run in runs] == ["13", "6", "6", "6"]
    assert [run["share"] for run in runs[2:]] == ["10.0", "10.0"]
    assert {run["given"] for run in runs} == {"7", "6"}


def test_a_history_of_a_step_tells_what_it_took_and_gave(served: Served) -> None:
    runs = runs_on(served, "/pipelines/orders?step=parse")
    assert [(run["taken"], run["given"], run["dead"]) for run in runs] == [
        ("61", "48", "13"),
        ("61", "55", "6"),
        ("60", "54", "6"),
        ("60", "54", "6"),
    ]
    assert served.get("/pipelines/orders?step=prase").status == 404


def test_each_run_leads_to_its_difference_with_the_one_before(served: Served) -> None:
    document = lxml.html.fromstring(served.get("/pipelines/orders").text)
    ids = [run for run, _ in served.store.ids("orders")]
    led_to = document.xpath("//table[@id='runs']//a[starts-with(@href, '/differences')]/@href")
    assert led_to == [f"/differences/{ids[at + 1]}/{ids[at]}" for at in range(3)]


def test_a_pipeline_that_is_not_there_is_said_with_the_nearest(served: Served) -> None:
    answer = served.get("/pipelines/order")
    assert answer.status == 404
    assert "orders" in answer.text


def test_what_came_since_a_page_was_made_is_said_on_it(served: Served) -> None:
    newest, _ = served.store.ids("orders")[0]
    assert served.get(f"/pipelines/orders?seen={newest}+done").status == 204
    assert "There is something new" in served.get(f"/pipelines/orders?seen={newest}+running").text
