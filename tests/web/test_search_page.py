"""What one field of search leads to."""

from __future__ import annotations

import http.client
import urllib.parse

from beam_obs.store.evidence import dead_letters
from tests.web.conftest import Answer, Served


def search(served: Served, text: str) -> Answer:
    return served.get(f"/search?{urllib.parse.urlencode({'q': text})}")


def led_to(served: Served, text: str) -> str | None:
    answer = search(served, text)
    assert answer.status == 303, answer.text
    return answer.headers["location"]


def test_an_id_or_its_beginning_leads_to_the_run(served: Served) -> None:
    newest, _ = served.store.ids("orders")[0]
    assert led_to(served, newest) == f"/runs/{newest}"
    assert led_to(served, f" {newest[:15]}… ") == f"/runs/{newest}"


def test_a_name_leads_to_its_pipeline_and_a_part_of_it_to_all_that_have_it(served: Served) -> None:
    assert led_to(served, "orders") == "/pipelines/orders"
    assert led_to(served, "broken") == "/pipelines/broken-orders"
    found = search(served, "order").text
    assert 'href="/pipelines/orders"' in found
    assert 'href="/pipelines/broken-orders"' in found


def test_an_origin_leads_to_its_record_and_an_id_to_its_dead_letter(served: Served) -> None:
    letter, _ = next(dead_letters(served.store, served.store.find("orders@latest")))
    assert letter.origin is not None
    assert led_to(served, letter.origin.upper()) == f"/records/{letter.origin}"
    assert led_to(served, letter.id) == f"/dead-letters/{letter.id}"


def test_a_file_and_a_line_lead_to_the_record_there(served: Served) -> None:
    assert led_to(served, "orders.csv:7") == "/records?at=orders.csv%3A7"
    assert led_to(served, "gs://bucket/out-00000-of-00001:7") is not None


def test_a_part_of_a_refused_record_finds_its_dead_letters_in_all_runs(served: Served) -> None:
    found = search(served, "23,customer-2").text
    assert found.count("<code>23,customer-2,n/a</code>") == 4
    assert "Looked through the dead letters of 4 runs, back to" in found


def test_text_that_one_record_has_leads_to_it(served: Served) -> None:
    assert (led_to(served, "6,customer-6,106") or "").startswith("/dead-letters/")


def test_a_whole_record_that_was_written_leads_to_its_origin(served: Served) -> None:
    (totals,) = served.folder.glob("totals*")
    newest, _ = served.store.ids("orders")[0]
    place = led_to(served, totals.read_text().splitlines()[0])
    assert place is not None
    assert place.startswith("/records/")
    assert place.endswith(f"?run={newest}")


def test_a_part_of_an_error_leads_to_its_kind(served: Served) -> None:
    newest, _ = served.store.ids("orders")[0]
    place = led_to(served, "no such customer")
    assert place is not None
    assert place.startswith(f"/runs/{newest}/dead-letters?stage=parse&fingerprint=")


def test_where_nothing_is_found_it_is_said_what_can_be_searched_for(served: Served) -> None:
    found = search(served, "<script>alert(1)</script>").text
    assert "Nothing was found for “&lt;script&gt;" in found
    assert "a record by its place" in found
    assert "What can be searched for" in search(served, "").text


def test_programs_get_runs_as_the_command_prints_them_and_whether_the_server_lives(served: Served) -> None:
    assert served.get("/healthz").text == "ok\n"
    newest, _ = served.store.ids("orders")[0]
    lines = served.get("/api/runs?pipeline=orders&limit=2").text.splitlines()
    assert len(lines) == 2
    assert f'"id": "{newest}", "pipeline": "orders", "status": "done", "dead": 13' in lines[0]
    assert served.get("/api/runs?pipeline=none").status == http.client.NOT_FOUND
    refused = served.get("/api/runs?limit=banana")
    assert refused.status == http.client.BAD_REQUEST
    assert "limit=banana is no number of runs" in refused.text


def test_what_is_nested_without_end_is_looked_for_as_text(served: Served) -> None:
    deep = ['{"a":' * times + "1" + "}" * times for times in (200, 400, 600, 900)]
    for text in ("[" * 9_000, '{"a":' * 5_000, *deep):
        answer = served.get(f"/search?q={urllib.parse.quote(text)}")
        assert answer.status == 200
        assert "Nothing was found" in answer.text
