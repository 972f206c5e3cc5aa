"""What the page of a difference says: what `beam-obs diff` says, what changed first on top."""

from __future__ import annotations

import http.client

import lxml.html

from tests.web.conftest import Served


def difference_of_newest(served: Served) -> lxml.html.HtmlElement:
    (newest, _), (before, _) = served.store.ids("orders")[:2]
    return lxml.html.fromstring(served.get(f"/differences/{before}/{newest}").text)


def test_what_changed_first_stands_first(served: Served) -> None:
    page = difference_of_newest(served)
    headings = [one.text_content().split("  ")[0].strip() for one in page.xpath("//main//h2")]
    assert headings[0] == "Changed first"
    (step,) = page.xpath("//section[1]//dt")
    assert step.text_content() == "parse"
    assert "its code changed" in [one.text_content() for one in page.xpath("//section[1]//dd")]


def test_counts_kinds_and_outputs_that_are_not_as_they_were_are_told(served: Served) -> None:
    text = " ".join(" ".join(difference_of_newest(served).itertext()).split())
    assert "55 → 48 -12.7%" in text
    assert "2 new, 1 gone" in text
    assert "LookupError: no such customer: 'customer-6'" in text
    assert "7 → 6 records" in text


def test_a_run_without_counts_is_said_to_have_none(served: Served) -> None:
    (orders, _), (broken, _) = served.store.ids("orders")[0], served.store.ids("broken-orders")[0]
    text = served.get(f"/differences/{broken}/{orders}").text
    assert "No counts to compare: the run before has none." in text


def test_two_runs_that_are_chosen_in_a_form_are_led_to(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.request("GET", "/differences?before=01a2&after=01a3")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("location")) == (303, "/differences/01a2/01a3")
    assert served.get("/differences?before=01a2").status == 404
