"""What the list of pipelines says."""

from __future__ import annotations

import gzip
import http.client
import re

import lxml.html

from tests.web.conftest import Served


def rows_of(served: Served) -> dict[str, lxml.html.HtmlElement]:
    document = lxml.html.fromstring(served.get("/").text)
    return {row.xpath("string(.//td[1]/a[1])"): row for row in document.xpath("//table/tbody/tr")}


def test_a_pipeline_that_failed_comes_before_those_that_are_well(served: Served) -> None:
    rows = rows_of(served)
    assert list(rows) == ["broken-orders", "orders"]
    assert "never" in rows["broken-orders"].text_content()


def test_each_run_is_a_bar_that_leads_to_it_and_says_what_it_is(served: Served) -> None:
    bars = rows_of(served)["orders"].xpath(".//*[local-name()='a' and contains(@class, 'bar ')]")
    ids = [run for run, _ in served.store.ids("orders")]
    assert [bar.get("href") for bar in bars] == [f"/runs/{run}" for run in reversed(ids)]
    assert re.search(r"UTC, done, 6 dead of 60 records \(10 %\), took ", bars[0].text_content())
    assert bars[0].xpath("count(.//*[local-name()='rect' and @class='dead-mark'])") == 1


def test_kinds_of_refusal_that_the_run_before_did_not_have_are_named_with_the_pipeline(
    served: Served,
) -> None:
    flag = rows_of(served)["orders"].xpath(".//a[contains(@class, 'flag')]")
    assert [(one.text_content(), one.get("href")) for one in flag] == [
        ("2 new kinds of refusal", "/pipelines/orders/kinds")
    ]


def test_what_is_shown_is_not_sent_again_while_it_is_as_it_was(served: Served) -> None:
    served.get("/")  # what takes long is read by now
    while True:
        (seen,) = re.findall(r'"seen": "([0-9a-f]+)"', served.get("/").text)
        again = served.get(f"/?seen={seen}")
        if again.status == 204:  # not where another minute began between the two
            break
    assert again.text == ""
    assert served.get("/?seen=other").status == 200


def test_a_long_page_is_packed_for_a_browser_that_takes_it(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.request("GET", "/", headers={"accept-encoding": "gzip"})
    answer = connection.getresponse()
    assert answer.getheader("content-encoding") == "gzip"
    assert "default-src 'none'" in (answer.getheader("content-security-policy") or "")
    assert b"<h1>Pipelines</h1>" in gzip.decompress(answer.read())
