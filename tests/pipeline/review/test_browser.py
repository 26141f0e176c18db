"""The page in a real browser: opened from the disk, with no network."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from pipeline.review import formats, page
from pipeline.review.contents import Review
from schema import slices
from tests.pipeline.review import sample
from tests.support.missing import missing

pytestmark = pytest.mark.slow

Visit = Callable[..., Page]

REVIEWS: dict[str, tuple[Callable[[], Review], bool]] = {
    "whole": (sample.review, False),
    "blurred": (sample.review, True),
    "not_blessed": (sample.not_blessed, False),
    "refused": (sample.refused, False),
    "first_run": (sample.first_run, False),
    "before_plans": (sample.before_plans, False),
    "hostile": (lambda: sample.with_hostile_names(sample.review()), False),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium")
    if executable is None:
        missing("needs Debian's package chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    paths = {}
    for name, (review, blur) in REVIEWS.items():
        paths[name] = folder / name / "index.html"
        page.write(review(), paths[name], blur)
    return paths


@pytest.fixture
def visit(browser: Browser, files: dict[str, Path]) -> Iterator[Visit]:
    """Opens a page; at the end, no error, dialog or request may have come of it."""
    contexts, problems = [], []

    def visit(name: str, **options: Any) -> Page:
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        opened = context.new_page()
        opened.on(
            "console",
            lambda message: problems.append(message.text) if message.type == "error" else None,
        )
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.on("dialog", lambda dialog: (problems.append(dialog.message), dialog.dismiss()))
        opened.on(
            "request",
            lambda request: (
                None if request.url.startswith(("file:", "data:")) else problems.append(request.url)
            ),
        )
        opened.goto(files[name].as_uri())
        opened.wait_for_selector("body[data-drawn]")
        return opened

    yield visit
    for context in contexts:
        context.close()
    assert problems == []


@pytest.mark.parametrize("name", REVIEWS)
def test_all_charts_are_drawn_without_an_error(visit: Visit, name: str) -> None:
    opened = visit(name)
    places = opened.locator("[data-chart]")
    assert places.count() == opened.locator("[data-chart] svg.marks").count()
    assert places.count() > 10


@pytest.mark.parametrize("name", ["refused", "not_blessed"])
def test_the_first_screen_says_why(visit: Visit, name: str) -> None:
    opened = visit(name, viewport={"width": 1280, "height": 720})
    review = REVIEWS[name][0]()
    for reason in review.run.reasons:
        box = opened.locator("header").get_by_text(reason).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 720


def test_a_heading_sorts_its_table_both_ways(visit: Visit) -> None:
    opened = visit("whole")
    table = opened.get_by_role("table", name="Test images by posture by tranche")
    heading = table.get_by_role("columnheader", name="Accuracy")
    accuracies = table.locator("tbody td:nth-child(3)")

    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    values = _sorted_by(accuracies)
    assert values == sorted(values)
    assert len(set(values)) > 3

    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert _sorted_by(accuracies) == values[::-1]

    table.get_by_role("columnheader", name="Slice").get_by_role("button").click()
    assert heading.get_attribute("aria-sort") is None
    names = table.locator("tbody th").all_text_contents()
    assert names == sorted(names)


def test_what_is_not_known_sorts_last_either_way(visit: Visit) -> None:
    opened = visit("whole")
    table = opened.get_by_role("table", name="Test images by occlusion")
    button = table.get_by_role("columnheader", name="Macro F1").get_by_role("button")
    for _ in range(2):
        button.click()
        cells = table.locator("tbody tr td:nth-child(4)")
        known = [cell.get_attribute("data-sort") != "" for cell in cells.all()]
        assert known == sorted(known, reverse=True)
        assert set(known) == {True, False}


def _sorted_by(cells: Locator) -> list[float]:
    return [float(cell.get_attribute("data-sort") or "nan") for cell in cells.all()]


def test_small_slices_are_hidden_and_counted(visit: Visit) -> None:
    review = sample.review()
    counts = [part.count for group in review.groups for part in group.slices]
    opened = visit("whole")
    shown = opened.locator("table.slices tbody tr:visible")
    status = opened.get_by_role("status")
    least = opened.get_by_label("Hide slices below")
    assert least.input_value() == str(review.least)
    for number in (review.least, 0, 100):
        least.fill(str(number))
        hidden = sum(count < number for count in counts)
        assert shown.count() == len(counts) - hidden
        expected = f"{hidden} slices are hidden." if hidden else "All slices are shown."
        assert status.text_content() == expected
    assert sum(count < 100 for count in counts) > 1


def test_the_filter_finds_slices_by_name(visit: Visit) -> None:
    opened = visit("whole")
    opened.get_by_label("Hide slices below").fill("0")
    opened.get_by_label("Filter by name").fill("lying in")
    names = opened.locator("table.slices tbody tr:visible th").all_text_contents()
    assert names == ["Lying in tranche 1", "Lying in tranche 2", "Lying in tranche 3"]
    assert opened.locator("section.group:visible").count() == 1
    opened.get_by_label("Filter by name").fill("")
    assert opened.locator("section.group:visible").count() == len(sample.review().groups)


def test_a_cell_shows_its_pictures(visit: Visit) -> None:
    review = sample.review()
    assert review.pictures is not None
    opened = visit("whole")
    cell = opened.locator("#matrix button[data-actual='2'][data-predicted='0']")
    cell.click()
    shown = opened.locator("#cell-pictures .picture")
    expected = review.pictures.cells["Lying", "Sitting"]
    assert shown.count() == len(expected) > 0
    names = shown.locator("h4").all_text_contents()
    assert names == [review.pictures.shown[index].file_name for index in expected]
    heading = opened.locator("#cell-title").text_content()
    assert heading == "Labelled Lying, answer Sitting: All test images"
    assert all(
        image.evaluate("image => image.complete && image.naturalWidth === 160")
        for image in shown.locator("img:visible").all()
    )
    assert cell.get_attribute("aria-pressed") == "true"


def test_a_chosen_slice_has_its_own_matrix_and_pictures(visit: Visit) -> None:
    part = next(
        part for part in sample.review().groups[5].slices if part.values == ("3", "Sitting")
    )
    opened = visit("whole")
    opened.locator("#matrix button[data-actual='0'][data-predicted='0']").click()
    opened.get_by_label("Slice", exact=True).select_option(label=part.name)
    cells = opened.locator("#matrix button")
    assert cells.all_text_contents() == [str(n) for row in part.confusion for n in row]
    assert cells.nth(0).get_attribute("aria-label") == (
        f"Labelled Sitting, answer Sitting: {part.confusion[0][0]}"
    )
    # In tranche 3 the sample keeps no picture of what is right, unless the answer changed.
    assert opened.locator("#cell-pictures .picture").count() == 0
    note = opened.locator("#cell-note").text_content()
    assert note == f"{part.confusion[0][0]} test images; none of them is stored in this page."
    opened.locator("#matrix button[data-actual='1'][data-predicted='0']").click()
    assert opened.locator("#cell-note").text_content() == "There are no such test images."

    opened.get_by_label("Share of the row").check()
    whole = sum(part.confusion[0])
    assert cells.nth(0).text_content() == formats.percent(part.confusion[0][0] / whole)
    assert cells.nth(4).text_content() == formats.ABSENT


def test_bars_show_counts_or_shares(visit: Visit) -> None:
    opened = visit("whole")
    chart = opened.locator("[data-chart=labels-primary_posture] svg")
    assert chart.get_by_text("Share of the images").count() == 0
    opened.get_by_label("Shares", exact=True).check()
    chart.get_by_text("Share of the images").wait_for()
    assert "100\u202f%" in chart.all_text_contents()[0]
    opened.locator("input[name=stack][value=zero]").check()
    chart.get_by_text("Share of the images").wait_for(state="detached")


def test_a_mark_tells_its_figures_to_the_pointer(visit: Visit) -> None:
    run = sample.review().run
    assert run.decision is not None
    overall = run.decision.comparisons[0]
    opened = visit("whole")
    opened.locator("[data-chart=differences] .mark-symbol path").first.hover()
    tip = opened.locator("#tip")
    tip.wait_for(state="visible")
    text = tip.text_content() or ""
    difference = formats.points(overall.difference)
    assert text.startswith(f"all test images, against the model in service: {difference}")
    assert text.endswith("cannot be told from 60 clips")


@pytest.mark.parametrize("width", [360, 1280])
def test_all_differences_are_on_one_axis_with_their_margins(visit: Visit, width: int) -> None:
    review = sample.review()
    assert review.comparison is not None
    drawn = [each for each in review.comparison.comparisons if each.images >= review.least]
    opened = visit("whole", viewport={"width": width, "height": 800})
    chart = opened.locator("[data-chart=differences]")
    assert opened.locator("section#slices [data-chart]").count() == 0
    assert chart.locator(".mark-symbol.role-mark path").count() == len(drawn) > 40
    margins = [each for each in drawn if each.margin is not None]
    assert chart.locator(".mark-rect.role-mark path").count() == len(margins)
    names = {slices.name(each.place) for each in drawn}
    labels = chart.locator(".role-axis-label text").all_text_contents()
    assert sum(label.rstrip("…") != "" for label in labels) >= len(names)
    inside = chart.evaluate(
        """chart => [...chart.querySelectorAll("svg text")].every((text) =>
            text.getBoundingClientRect().right <= chart.getBoundingClientRect().right + 1)"""
    )
    assert inside, "no legend, title or label is cut off"


@pytest.mark.parametrize("name", ["whole", "not_blessed"])
def test_recalls_and_errors_are_on_the_first_screen(visit: Visit, name: str) -> None:
    opened = visit(name, viewport={"width": 1280, "height": 800})
    tables = opened.locator("header table.few")
    assert tables.count() == 2
    for table in tables.all():
        box = table.bounding_box()
        assert box is not None and box["y"] + box["height"] < 800


def test_lines_to_sign_are_on_paper_only(visit: Visit) -> None:
    opened = visit("whole")
    lines = opened.locator("table.sign")
    assert not lines.is_visible()
    opened.emulate_media(media="print")
    assert lines.is_visible()
    assert (lines.locator("td").first.bounding_box() or {"height": 0})["height"] > 30


def test_pictures_can_be_blurred_on_screen_and_on_paper(visit: Visit) -> None:
    opened = visit("whole")
    image = opened.locator("#pictures .frame img").first

    def blurred() -> bool:
        return image.evaluate("image => getComputedStyle(image).filter") != "none"

    assert not blurred()
    opened.get_by_label("Blur images", exact=True).check()
    assert blurred()
    opened.get_by_label("Blur images", exact=True).uncheck()
    opened.emulate_media(media="print")
    assert blurred()
    opened.emulate_media(media="screen")
    opened.get_by_label("Blur images in print").uncheck()
    opened.emulate_media(media="print")
    assert not blurred()


def test_a_file_with_blurred_pictures_has_no_switch_to_undo_it(visit: Visit) -> None:
    opened = visit("blurred")
    switch = opened.get_by_label("Blur images", exact=True)
    assert switch.is_checked()
    assert switch.is_disabled()
    assert opened.get_by_text("blurred in the file itself").is_visible()


def test_the_model_s_attention_is_shown_for_one_or_all(visit: Visit) -> None:
    opened = visit("whole")
    shown = opened.locator("#pictures .attention:visible")
    assert shown.count() == 0
    button = opened.locator("#pictures .look").first
    button.click()
    assert shown.count() == 1
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert shown.count() == 0
    opened.get_by_role("button", name="Show where the model looked in all").click()
    assert shown.count() == opened.locator("#pictures .attention").count() > 10


def test_tab_reaches_everything_that_can_be_used(visit: Visit) -> None:
    opened = visit("whole", viewport={"width": 360, "height": 740})
    opened.locator("#matrix button").first.click()
    wanted = opened.evaluate(
        """() => {
            window.reached = new Set();
            document.addEventListener("focusin", ({ target }) => window.reached.add(target));
            const usable = "a[href], button, input, select, summary, [tabindex='0']";
            window.usable = [...document.querySelectorAll(usable)].filter((element) =>
                element.checkVisibility() && !element.disabled &&
                // Of a group of radio buttons, Tab reaches the chosen one.
                (element.type !== "radio" || element.checked));
            document.activeElement.blur();
            return window.usable.length;
        }"""
    )
    assert wanted > 100
    opened.keyboard.press("Control+Home")
    opened.evaluate("document.querySelector('.skip').focus()")
    for _ in range(wanted + 10):
        opened.keyboard.press("Tab")
    missed = opened.evaluate(
        "window.usable.filter((element) => !window.reached.has(element)).map((e) => e.outerHTML)"
    )
    assert missed == []


def test_the_keyboard_works_a_cell_and_the_skip_link(visit: Visit) -> None:
    opened = visit("whole")
    opened.keyboard.press("Tab")
    skip = opened.get_by_role("link", name="Skip to the verdict")
    assert skip.is_visible()
    opened.keyboard.press("Enter")
    assert opened.evaluate("location.hash") == "#gates"
    opened.locator("#matrix button").first.focus()
    opened.keyboard.press("Space")
    assert opened.locator("#cell-pictures .picture").count() > 0


@pytest.mark.parametrize("name", ["whole", "hostile"])
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_no_width_makes_the_page_itself_scroll_sideways(
    visit: Visit, name: str, width: int
) -> None:
    opened = visit(name, viewport={"width": width, "height": 800})
    assert opened.evaluate("document.documentElement.scrollWidth") == width


def test_hostile_names_are_text(visit: Visit) -> None:
    opened = visit("hostile")
    opened.get_by_label("Slice", exact=True).select_option(label=sample.HOSTILE_NAMES[0])
    for cell in opened.locator("#matrix button").all():
        cell.click()
    marks = opened.locator("[data-chart=differences] .mark-symbol.role-mark path")
    marks.nth(1).hover()
    opened.locator("#tip").wait_for(state="visible")
    assert sample.HOSTILE_NAMES[0] in (opened.locator("#tip").text_content() or "")
    body = opened.locator("body").inner_text()
    for name in sample.HOSTILE_NAMES:
        assert name in body
    chart = opened.locator("[data-chart=labels-primary_posture] svg").text_content() or ""
    assert "<img src=x" in chart  # cut off where the legend ends
    assert opened.locator("img:not([src^='data:image/jpeg']), svg[onload]").count() == 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("whole", {"color_scheme": "light"}),
        ("whole", {"color_scheme": "dark"}),
        ("whole", {"viewport": {"width": 360, "height": 740}}),
        ("not_blessed", {"color_scheme": "dark"}),
        ("refused", {"color_scheme": "light"}),
    ],
)
def test_axe_finds_nothing_serious(visit: Visit, name: str, options: dict[str, Any]) -> None:
    opened = visit(name, **options)
    if opened.locator("#matrix").count():
        opened.locator("#matrix button").first.click()
    opened.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    found = Axe().run(opened).response["violations"]
    serious = [
        (rule["id"], [node["html"][:200] for node in rule["nodes"][:3]])
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_colours_follow_the_reader_s_scheme_and_paper_is_white(visit: Visit) -> None:
    opened = visit("whole", color_scheme="dark")
    label = opened.locator("[data-chart=differences] svg text").first

    def colours() -> tuple[str, str]:
        ground = opened.evaluate("getComputedStyle(document.body).backgroundColor")
        return ground, label.evaluate("text => getComputedStyle(text).fill")

    dark = colours()
    opened.emulate_media(color_scheme="light")
    light = colours()
    opened.emulate_media(color_scheme="dark", media="print")
    assert colours() == light
    assert dark[0] != light[0] == "rgb(255, 255, 255)"
    assert dark[1] != light[1]


def test_near_duplicates_are_seen_in_full_by_keyboard_phone_and_print(visit: Visit) -> None:
    review = sample.review()
    assert review.data is not None
    first, *_ = pairs = review.data.duplicates
    opened = visit("whole", viewport={"width": 360, "height": 740})
    cards = opened.locator("#data .duplicate")
    shown = opened.locator("#data .duplicate:visible")
    assert cards.count() == len(pairs) > shown.count() == 8
    left, right = (image.bounding_box() for image in cards.first.locator("img").all())
    assert left is not None
    assert right is not None
    assert left["y"] == right["y"], "side by side"
    name = cards.first.locator("dd").get_by_text(first.images[0].file_name, exact=True)
    assert not name.is_visible()
    cards.first.locator("summary").focus()
    opened.keyboard.press("Enter")
    assert name.is_visible()
    opened.get_by_text("6 more pairs").focus()
    opened.keyboard.press("Enter")
    assert shown.count() == len(pairs)
    opened.get_by_text("6 more pairs").click()
    opened.emulate_media(media="print")
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.count() == len(pairs)


@pytest.mark.parametrize("name", ["whole", "refused"])
def test_it_prints_on_a4_with_nothing_cut_off(visit: Visit, name: str) -> None:
    opened = visit(name)
    pdf = opened.pdf(prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF")
    assert b"/MediaBox [0 0 594" in pdf or b"/MediaBox [0 0 595" in pdf
    # The width of A4 less its margins, in CSS pixels.
    opened.set_viewport_size({"width": 688, "height": 1000})
    opened.emulate_media(media="print")
    clipped = opened.evaluate(
        """() => [...document.querySelectorAll("table, svg, img, pre")]
            .filter((element) => element.checkVisibility() &&
                element.getBoundingClientRect().right > innerWidth + 1)
            .map((element) => element.outerHTML.slice(0, 200))"""
    )
    assert clipped == []
    assert not opened.locator("nav").is_visible()


def test_a_picture_that_stands_again_is_copied_there(visit: Visit) -> None:
    review = sample.review()
    assert review.pictures is not None
    pictures = review.pictures
    opened = visit("whole")
    assert opened.locator("[data-copy]").count() == 0
    ids = opened.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(set(ids)) == len(ids)
    shown = opened.locator("#pictures .picture")
    assert shown.count() == len(pictures.mistakes) + len(pictures.label_errors)
    names = [pictures.shown[index].file_name for index in pictures.mistakes]
    assert shown.locator("h4").all_text_contents()[: len(names)] == names
    # One that was right and is wrong now is among the mistakes as well.
    again = next(index for found in pictures.lost.values() for index in found if index < 12)
    copies = opened.locator(f"[data-picture='{again}']")
    assert copies.count() == 2 + (again in pictures.label_errors)
    assert copies.last.locator("img").first.evaluate("image => image.naturalWidth") == 160


@pytest.mark.parametrize("width", [390, 1280])
def test_what_changed_is_told_with_both_answers(visit: Visit, width: int) -> None:
    review = sample.review()
    assert review.changes is not None
    opened = visit("whole", viewport={"width": width, "height": 844})
    section = opened.locator("#changes")
    table = section.get_by_role("table", name="Test images by kind of error")
    assert table.locator("tbody th").all_text_contents() == [
        kind.name for kind in review.changes.kinds
    ]
    first = section.locator(".picture").first
    first.scroll_into_view_if_needed()
    assert first.get_by_text("Before", exact=True).is_visible()
    box = first.locator(".answers").bounding_box()
    assert box is not None and box["x"] + box["width"] <= width
    tables = section.locator(".matrices table")
    assert tables.count() == 3
    tops = {(table.bounding_box() or {"y": 0})["y"] for table in tables.all()}
    assert (len(tops) == 1) == (width == 1280), "side by side where there is room"


@pytest.mark.parametrize("name", ["whole", "not_blessed"])
def test_on_a_phone_the_gates_reasons_are_read_without_scrolling(visit: Visit, name: str) -> None:
    opened = visit(name, viewport={"width": 390, "height": 844})
    box = opened.get_by_role("group", name="Gates")
    assert box.evaluate("box => box.scrollWidth <= box.clientWidth")
    for words in box.locator(".words").all():
        place = words.bounding_box()
        assert not words.text_content() or (place and place["x"] >= 0)
        assert place is None or place["x"] + place["width"] <= 390
    # It still is a table to a screen reader.
    assert box.get_by_role("table").get_by_role("columnheader").count() == 6


def test_a_term_leads_to_the_glossary_by_keyboard(visit: Visit) -> None:
    opened = visit("whole")
    term = opened.locator("#changes a.term")
    term.focus()
    opened.keyboard.press("Enter")
    assert opened.evaluate("location.hash") == "#term-churn"
    entry = opened.locator("#term-churn")
    assert (entry.bounding_box() or {"y": -1})["y"] >= 0
    assert entry.text_content() == "Churn"


@pytest.mark.parametrize("name", ["whole", "not_blessed", "first_run"])
def test_the_summary_prints_on_two_pages_and_what_it_folds_comes_last(
    visit: Visit, name: str
) -> None:
    opened = visit(name)
    # A4 less its margins, 182 mm by 273 mm, in CSS pixels.
    opened.set_viewport_size({"width": 688, "height": 1032})
    opened.emulate_media(media="print")
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    end = opened.locator("#sign_off").evaluate("part => part.getBoundingClientRect().bottom")
    assert end + opened.evaluate("scrollY") <= 2 * 1032
    folded = opened.locator("#in-full details")
    assert folded.count() == 3
    assert folded.last.locator("table").is_visible()
    assert opened.locator("#gates > details, #plan > details").count() == 0
    opened.evaluate("dispatchEvent(new Event('afterprint'))")
    assert opened.locator("#plan > details:not([open])").count() == 2
    assert opened.locator("#gates > details:not([open])").count() == 1
    assert not opened.locator("#in-full").is_visible()
