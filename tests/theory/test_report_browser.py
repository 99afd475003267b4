"""The page in a browser: filters, links to views, sorting, plots, downloads, narrow windows."""

import pytest
import theory_examples as examples
from browser import DESK, PHONE, scrolls_sideways
from theory_examples import theorem

from rltheory.cli.main import main
from rltheory.theory import verify
from rltheory.theory.registry import find, theorems
from rltheory.theory.report import report
from rltheory.theory.store import Store

PAPER = {"width": 794, "height": 1123}
"""A4, as pages are printed."""

RECORDS = [
    examples.EXACT,
    examples.FALSE,
    examples.SURVIVING,
    examples.SEPARATION,
    examples.PARTLY,
    theorem("other/certified", examples.certified, examples.certified_wrongly),
    theorem("other/unseen", examples.square, examples.square_reversed),
]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    verify(RECORDS[:-1], budget="quick", store=folder / "run.jsonl")
    return report(
        folder / "report.html",
        store=folder / "run.jsonl",
        figures=folder / "none",
        theorems=RECORDS,
    )


@pytest.fixture(scope="module")
def full_file(tmp_path_factory):
    """Every registered theorem, none of them run."""
    folder = tmp_path_factory.mktemp("full")
    (folder / "run.jsonl").touch()
    return report(folder / "report.html", store=folder / "run.jsonl", figures=folder / "none")


@pytest.fixture
def page(browser_page):
    """A page that says nothing on its console and loads nothing but itself."""
    said, asked = [], []
    browser_page.on("console", lambda message: said.append(message.text))
    browser_page.on("request", lambda request: asked.append(request.url))
    yield browser_page
    assert not said
    assert {url.partition("#")[0].partition(":")[0] for url in asked} <= {"file", "data"}
    assert len({url.partition("#")[0] for url in asked if url.startswith("file:")}) == 1


def shown(page):
    return page.locator("tbody tr:visible code.id").all_text_contents()


def ids(*wanted):
    return [record.id for record in wanted]


def test_search_narrows_the_rows_and_the_theorems(page, page_file):
    page.goto(page_file.as_uri())
    assert shown(page) == sorted(ids(*RECORDS))
    page.fill("#query", "UNSEEN example")
    assert shown(page) == ["other/unseen"]
    assert page.locator("article:visible").count() == 1
    assert page.text_content("#count") == "1 shown"
    page.fill("#query", "no such words")
    assert shown(page) == []


def test_filters_combine_and_can_be_cleared(page, page_file):
    page.goto(page_file.as_uri())
    page.select_option("#topic", "other")
    assert shown(page) == ["other/certified", "other/unseen"]
    page.select_option("#exact", "enclosures")
    assert shown(page) == ["other/certified"]
    page.select_option("#verdict", "refuted")
    assert shown(page) == []
    page.click("#clear")
    assert len(shown(page)) == len(RECORDS)


def test_a_view_has_an_address_and_the_back_button_returns_to_it(page, page_file):
    page.goto(page_file.as_uri() + "#topic=example&verdict=refuted")
    assert shown(page) == ids(examples.FALSE)
    page.select_option("#verdict", "")
    page.select_option("#kind", "separation")
    assert shown(page) == ids(examples.SEPARATION)
    assert page.evaluate("location.hash") == "#topic=example&kind=separation"
    page.go_back()
    page.go_back()
    assert shown(page) == ids(examples.FALSE)
    assert page.input_value("#verdict") == "refuted"


def test_an_address_with_an_unknown_value_does_not_filter_by_it(page, page_file):
    page.goto(page_file.as_uri() + "#topic=nonsense")
    assert len(shown(page)) == len(RECORDS)


def test_a_link_to_a_hidden_theorem_clears_the_filters(page, page_file):
    page.goto(page_file.as_uri() + "#verdict=refuted")
    page.evaluate("location.hash = 'other-unseen'")
    page.wait_for_function("document.getElementById('query').value === ''")
    page.locator("#other-unseen").wait_for()
    assert page.locator("#other-unseen").evaluate(
        "article => article.getBoundingClientRect().bottom <= innerHeight + 1"
    )
    assert len(shown(page)) == len(RECORDS)
    page.go_back()
    assert shown(page) == ids(examples.FALSE)


def test_heads_sort_from_the_keyboard_and_say_so(page, page_file):
    page.goto(page_file.as_uri())
    head = page.locator("th", has_text="Margin")
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    cells = page.locator("tbody tr td:nth-child(5)").all_text_contents()
    numbers = [float(cell) for cell in cells if cell]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 1
    assert cells[-1] == "", "what was not run comes last"
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    cells = page.locator("tbody tr td:nth-child(5)").all_text_contents()
    assert [float(cell) for cell in cells if cell] == numbers[::-1]
    assert cells[-1] == ""
    assert page.evaluate("location.hash") == "#sort=-margin"
    assert page.locator("th[aria-sort=none]").count() == 6


def test_a_point_of_a_plot_leads_to_its_theorem(page, page_file):
    page.goto(page_file.as_uri())
    point = page.locator('.plot a[data-for="other-certified"]').first
    assert "other/certified" in point.locator("title").text_content()
    point.click()
    assert page.evaluate("location.hash") == "#other-certified"
    assert page.locator("article:target").get_attribute("id") == "other-certified"
    assert page.locator("article:target").evaluate(
        "article => article.getBoundingClientRect().top < innerHeight"
    )


def test_points_are_the_results_of_the_table(page, page_file):
    page.goto(page_file.as_uri())
    results = Store(page_file.with_name("run.jsonl")).latest().values()
    drawn = page.locator(".plot").last.locator("a[data-for]")
    assert drawn.count() == sum(result.attempt.worst is not None for result in results)
    refuted = page.locator(".plot").last.locator("a:has(.mark.refuted) title")
    assert [title.partition(",")[0] for title in refuted.all_text_contents()] == ids(examples.FALSE)
    assert "below 0" in page.locator(".plot").last.text_content()


@pytest.mark.parametrize("size", [PHONE, PAPER, DESK], ids=["phone", "paper", "desk"])
@pytest.mark.parametrize("name", ["page_file", "full_file"])
def test_nothing_scrolls_sideways(page, request, name, size):
    page.set_viewport_size(size)
    page.goto(request.getfixturevalue(name).as_uri())
    # What is far away is not laid out before it is scrolled to.
    page.add_style_tag(content="article, tr { content-visibility: visible !important; }")
    assert not scrolls_sideways(page)
    cells = page.evaluate(
        "[...document.querySelectorAll('td, th')].filter(cell => cell.offsetParent"
        " && cell.scrollWidth > cell.clientWidth + 1).map(cell => cell.textContent)"
    )
    assert not cells, "cut off"
    first, whole = page.evaluate(
        "['tbody td', 'tbody'].map(name => document.querySelector(name).clientWidth)"
    )
    assert first > whole / 4, "room for titles"


def test_every_theorem_is_found_again_by_its_topic(page, full_file):
    page.goto(full_file.as_uri() + "#topic=robust")
    wanted = [record.id for record in theorems() if record.id.startswith("robust/")]
    assert shown(page) == wanted


def test_downloads_replay_to_the_same_bits(page, tmp_path, monkeypatch):
    record = find("bellman/macqueen-bracket")
    verify([record], budget="quick", store=tmp_path / "run.jsonl")
    file = report(
        tmp_path / "report.html",
        store=tmp_path / "run.jsonl",
        figures=tmp_path / "none",
        theorems=[record],
    )
    page.goto(file.as_uri())
    monkeypatch.chdir(tmp_path)
    links = page.locator("article a[download]")
    commands = page.locator("article code.command").all_text_contents()
    assert links.count() == len(commands) == 2
    for link, command in zip(links.all(), commands, strict=True):
        with page.expect_download() as download:
            link.click()
        download.value.save_as(tmp_path / download.value.suggested_filename)
        name, *arguments = command.split()
        assert name == "rltheory"
        assert main(arguments) == 0
