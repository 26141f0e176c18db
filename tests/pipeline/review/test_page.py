import base64
import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from components.serving.versions import SignOff
from pipeline.review import accuracy_charts, comparison, data_charts, formats, glossary, page
from pipeline.review.contents import SECTIONS, Review
from pipeline.review.data_checks import SchemaRow
from pipeline.review.gallery import Picture
from schema import features
from tests.pipeline.review import sample


class Parsed(HTMLParser):
    """An HTML page as elements with attributes, and text by element."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[list[str]] = [["", ""]]  # the tag before it, and the text
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append([tag, ""])

    def handle_endtag(self, tag: str) -> None:
        self.texts.append(["", ""])

    def handle_data(self, data: str) -> None:
        self.texts[-1][1] += data

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.elements if name == tag)

    def within(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]

    @property
    def text(self) -> str:
        return " ".join(text for tag, text in self.texts if tag not in ("script", "style"))

    def data(self, key: str) -> Any:
        """The JSON block of this id."""
        scripts = [attributes.get("id") for attributes in self.all("script")]
        return json.loads(self.within("script")[scripts.index(key)])


@pytest.fixture(scope="module")
def whole() -> Review:
    return sample.review()


@pytest.fixture(scope="module")
def parsed(whole: Review) -> Parsed:
    return Parsed(page.render(whole, blur=False))


def test_the_policy_allows_these_scripts_and_this_style_only(parsed: Parsed) -> None:
    policy = next(
        attributes["content"]
        for attributes in parsed.all("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    code = [
        text
        for text, attributes in zip(parsed.within("script"), parsed.all("script"), strict=True)
        if attributes.get("type") is None
    ]
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "script-src": " ".join(map(_source, code)),
        "style-src": " ".join(map(_source, parsed.within("style"))),
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_nothing_is_loaded_and_nothing_is_styled_or_run_inline(parsed: Parsed) -> None:
    for tag, attributes in parsed.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert (attributes.get("src") or "data:image/jpeg").startswith("data:image/jpeg"), tag
        assert (attributes.get("href") or "#").startswith("#"), tag


def test_each_slice_is_there_with_its_figures(whole: Review, parsed: Parsed) -> None:
    texts = [text.strip() for _, text in parsed.texts]
    for group in whole.groups:
        for part in group.slices:
            row = texts[
                texts.index(part.name, texts.index(f"Test images by {group.title.lower()}")) :
            ]
            assert formats.count(part.count) in row[:12]
            assert formats.percent(part.accuracy) in row[:12]


def test_the_first_warnings_are_at_the_top(whole: Review, parsed: Parsed) -> None:
    head = parsed.text[: parsed.text.index("Scripts are turned off")]
    said = [finding.sentence for finding in whole.run.findings]
    assert [sentence in head for sentence in said] == [True, True, True, False, False]
    assert "and 2 more" in head


def test_a_perfect_model_has_a_page(whole: Review) -> None:
    assert whole.overall is not None
    perfect = replace(whole.overall, name="Perfect", accuracy=1.0, low=None, high=None)
    group = replace(whole.groups[0], slices=[perfect])
    parsed = Parsed(page.render(replace(_small(_PICTURE), groups=[group]), blur=False))
    dots = [float(circle["cx"] or "nan") for circle in parsed.all("circle")]
    assert dots == [100.0]


def test_runs_with_other_tranches_have_one_order_in_the_history(whole: Review) -> None:
    metrics = whole.run.metrics["overall"]
    runs = [
        whole.run.model_copy(
            update={
                "metrics": {"overall": metrics} | {f"tranche={name}": metrics for name in names}
            }
        )
        for names in (("1", "10"), ("1", "2", "10"))
    ]
    table = accuracy_charts.history_table(runs, sample.RUN)
    assert table.columns[-3:] == ["Tranche 1", "Tranche 2", "Tranche 10"]
    chart = json.dumps(accuracy_charts.history(runs, sample.RUN).spec)
    assert '"All test images", "Tranche 1", "Tranche 2", "Tranche 10"' in chart


def test_the_worst_slices_are_named(whole: Review, parsed: Parsed) -> None:
    part = whole.worst[0]
    expected = f"{part.name} : {formats.percent(part.accuracy)} of {part.count} images"
    assert expected in re.sub(r"\s+", " ", parsed.text.replace("\u202f", "~")).replace(
        "~", "\u202f"
    )


def test_a_cell_has_the_pictures_of_its_slice_only(whole: Review, parsed: Parsed) -> None:
    assert whole.pictures is not None
    matrices = parsed.data("matrix-data")
    slices = [whole.overall, *(part for group in whole.groups for part in group.slices)]
    found = 0
    for part, matrix in zip(slices, matrices, strict=True):
        assert part is not None
        assert matrix["counts"] == [[str(count) for count in row] for row in part.confusion]
        for actual, row in zip(features.POSTURES, matrix["pictures"], strict=True):
            for predicted, indices in zip(features.POSTURES, row, strict=True):
                expected = [
                    index
                    for index, shown in enumerate(whole.pictures.shown)
                    if (shown.actual, shown.predicted) == (actual, predicted)
                    and all(
                        shown.labels[column] == value
                        for column, value in zip(part.columns, part.values, strict=True)
                    )
                ]
                assert indices == expected
                found += len(indices)
    assert found > len(whole.pictures.shown)


def test_every_picture_is_in_the_file(whole: Review, parsed: Parsed) -> None:
    assert whole.pictures is not None
    indices = {attributes.get("data-picture") for attributes in parsed.all("article")} - {None}
    assert indices == {str(index) for index in range(len(whole.pictures.shown))}


def test_every_section_of_a_refused_run_says_why_it_is_not_there() -> None:
    refused = sample.refused()
    parsed = Parsed(page.render(refused, blur=False))
    assert [a.get("id") for a in parsed.all("section")] == list(SECTIONS)
    for sentence in set(refused.missing.values()):
        assert parsed.text.count(sentence) == len(refused.missing)
    # Before the first section: on the first screen.
    assert all(
        parsed.text.index(reason) < parsed.text.index("In words") for reason in refused.run.reasons
    )


def test_each_near_duplicate_shows_both_images_and_where_they_lie(whole: Review) -> None:
    assert whole.data is not None
    html = page.render(Review(run=whole.run, data=whole.data), blur=False)
    parsed = Parsed(html)
    cards = [each.split("</article>")[0] for each in html.split('<article class="duplicate"')[1:]]
    assert len(cards) == len(whole.data.duplicates)
    for pair, card in zip(whole.data.duplicates, cards, strict=True):
        assert card.count("<img") == 2
        assert ("Not across splits" in card) != pair.crosses_splits
        text = Parsed(card).text
        for image in pair.images:
            assert base64.b64encode(image.thumbnail or b"").decode() in card
            assert formats.short(image.file_name) in Parsed(card).within("h4")
            assert {image.file_name, image.clip} <= set(parsed.within("dd"))
            assert f"{image.split}, tranche {image.tranche}" in text
            assert image.posture in text
    assert "14 pairs" in parsed.text
    assert not [name for name in parsed.within("h4") if len(name) > 30]


def test_macro_f1_is_not_shown_for_slices_of_one_posture(whole: Review) -> None:
    html = page.render(whole, blur=False)
    for group, table in zip(whole.groups, html.split('<table class="slices')[1:], strict=True):
        assert ("Macro F1" in table.split("</table>")[0]) == (
            features.POSTURE not in group.slices[0].columns
        )


def test_what_refuses_a_model_comes_before_the_gates_the_gravest_first() -> None:
    missed = sample.not_blessed()
    parsed = Parsed(page.render(missed, blur=False))
    first, *others = missed.run.reasons
    assert first.startswith("Lying in tranche 2: ") and ", proven; " in first
    places = [parsed.text.index(reason) for reason in (first, *others)]
    assert places == sorted(places)
    assert places[-1] < parsed.text.index("In words")
    refused = sum(gate.passed is False for gate in missed.gates)
    assert parsed.text.count("Not passed") == refused > 1


def test_the_rest_of_many_reasons_is_counted(whole: Review) -> None:
    run = whole.run.model_copy(update={"reasons": [f"Reason {number}." for number in range(9)]})
    parsed = Parsed(page.render(Review(run=run), blur=False))
    assert "Reason 4." in parsed.text and "Reason 5." not in parsed.text
    assert "and 4 more" in parsed.text


def test_the_first_screen_has_recalls_and_errors_of_both_models(
    whole: Review, parsed: Parsed
) -> None:
    assert whole.errors is not None
    head = parsed.text[: parsed.text.index("Scripts are turned off")]
    for found in whole.errors.recalls:
        assert found.old is not None
        assert formats.percent(found.new) in head and formats.percent(found.old) in head
    assert whole.errors.recalls[0].posture == "Lying"
    kinds = [f"{kind.actual} taken for {kind.answer}" for kind in whole.errors.kinds]
    places = [head.index(kind) for kind in kinds]
    assert kinds[0] == "Lying taken for Sitting" and places == sorted(places)
    assert str(whole.errors.kinds[0].new) in head and str(whole.errors.kinds[0].old) in head


def test_each_slice_says_what_its_comparisons_came_to(whole: Review) -> None:
    html = page.render(whole, blur=False)
    tables = html.split('<table class="slices')[1:]
    for group, table in zip(whole.groups, tables, strict=True):
        text = Parsed(table.split("</table>")[0]).text
        for part in group.slices:
            assert len(part.comparisons) == 2
            for each in part.comparisons.values():
                assert comparison.in_words(each) in text
                assert formats.points(each.difference) in text
    assert "Descriptive" in html and "Cannot be told from" in html


def test_the_plan_is_there_with_its_digest_its_changes_and_what_its_clips_can_prove(
    whole: Review, parsed: Parsed
) -> None:
    assert whole.plan is not None and whole.plan.changes
    for text in (
        whole.plan.sha256,
        whole.plan.sentence,
        *whole.plan.changes,
        *whole.plan.test_clips.values(),
        *whole.plan.settings,
    ):
        assert text in parsed.text
    same = replace(whole, plan=replace(whole.plan, changes=[]))
    assert "Nothing has changed since the plan" in Parsed(page.render(same, blur=False)).text


SIGNED = SignOff(
    kind="rejected",
    by="R. <b>Lee</b>",
    reason="Too few nights.",
    time=0,
    run_id="r1",
    model_id=1,
    model_created=0,
)


def test_who_decided_when_and_why_is_there_with_lines_to_sign(whole: Review) -> None:
    run = whole.run.model_copy(update={"verdict": "rejected", "sign_offs": [SIGNED]})
    parsed = Parsed(page.render(replace(whole, run=run), blur=False))
    for text in ("Rejected", "R. <b>Lee</b>", "1 January 1970, 00:00 UTC", "Too few nights."):
        assert text in parsed.within("td") + parsed.within("th")
    assert {"Name", "Date", "Signature"} <= set(parsed.within("th"))


def test_a_page_that_waits_for_a_person_says_why_and_how_to_decide(whole: Review) -> None:
    assert whole.run.decision is not None
    why = "The plan asks a person to decide about every model."
    decision = whole.run.decision.model_copy(update={"sign_off": [why]})
    run = whole.run.model_copy(update={"verdict": "awaiting_sign_off", "decision": decision})
    text = Parsed(page.render(replace(whole, run=run), blur=False)).text
    assert why in text
    assert f"lookdeep approve {sample.RUN} --by NAME --reason TEXT" in text
    assert "No person had to decide" not in text


def test_every_term_leads_to_the_glossary_where_it_first_stands(parsed: Parsed) -> None:
    links = [a["href"] for a in parsed.all("a") if a.get("class") == "term"]
    entries = [f"#{a['id']}" for a in parsed.all("dt") if "id" in a]
    assert entries == [f"#term-{key}" for key in glossary.TERMS]
    assert len(entries) == len(parsed.within("dfn"))
    assert sorted(links) == sorted(entries)


def test_the_changed_pictures_are_there_with_both_answers(whole: Review) -> None:
    assert whole.changes is not None
    assert whole.pictures is not None
    html = page.render(whole, blur=False)
    section = html.split('<section id="changes"')[1].split("</section>")[0]
    cards = section.split("<article ")[1:]
    shown = [
        whole.pictures.shown[index]
        for found in (whole.pictures.lost, whole.pictures.gained)
        for kind in whole.changes.kinds
        for index in found.get((kind.actual, kind.answer), [])
    ]
    assert len(cards) == len(shown) > 8
    for picture, card in zip(shown, cards, strict=True):
        text = Parsed(card).text
        assert picture.other is not None
        assert picture.other.posture != picture.predicted
        for answer in (picture.other.confidence, picture.probabilities[picture.predicted]):
            assert formats.percent(answer) in text
    assert f"{formats.percent(whole.changes.whole.changed.images / 476)} of the answers" in section
    for found in (whole.pictures.lost, whole.pictures.gained):
        assert f"{sum(map(len, found.values()))} of them are shown" in section


def test_each_picture_is_in_the_file_once(parsed: Parsed, whole: Review) -> None:
    assert whole.pictures is not None
    sources = [a["src"] for a in parsed.all("img") if a.get("class") != "attention"]
    duplicates = 2 * len(whole.data.duplicates) if whole.data else 0
    assert len(sources) == len(whole.pictures.shown) + duplicates
    ids = {f"#{a['id']}" for a in parsed.all("article") if "id" in a}
    again = [a["href"] for a in parsed.all("a") if (a["href"] or "").startswith("#picture-")]
    assert again and set(again) <= ids


def test_a_run_with_no_other_model_says_that_nothing_can_have_changed() -> None:
    parsed = Parsed(page.render(sample.first_run(), blur=False))
    assert "No other model was asked about these test images" in parsed.text


def test_a_first_run_speaks_of_no_other_model() -> None:
    parsed = Parsed(page.render(sample.first_run(), blur=False))
    assert "No other model is in service" in parsed.text
    assert "In service" not in parsed.within("th")
    assert not [heading for heading in parsed.within("th") if "Difference" in heading]
    assert "differences" not in parsed.data("chart-data")["specs"]


def test_a_run_of_a_time_before_plans_has_a_page() -> None:
    parsed = Parsed(page.render(sample.before_plans(), blur=False))
    assert parsed.text.count("Runs of its time did not have it.") == 2
    assert "Lying taken for Sitting" in parsed.text
    assert "In service" not in parsed.within("th")


def test_a_demo_says_what_it_does_not_show(parsed: Parsed) -> None:
    assert "its figures say nothing about clinical accuracy" in parsed.text
    assert "clinical" not in Parsed(page.render(sample.not_blessed(), blur=False)).text


def test_names_from_the_data_stay_text(whole: Review) -> None:
    parsed = Parsed(page.render(sample.with_hostile_names(whole), blur=False))
    assert [a.get("type") for a in parsed.all("script")] == ["application/json"] * 2 + [None] * 2
    assert all((a.get("src") or "").startswith("data:image/jpeg") for a in parsed.all("img"))
    assert not any("onload" in attributes for attributes in parsed.all("svg"))
    titles = [attributes.get("title") for attributes in parsed.all("h4")]
    for name in sample.HOSTILE_NAMES:
        assert name in titles
        assert name in parsed.within("dd")
    links = [attributes.get("href") or "" for attributes in parsed.all("a")]
    assert all(link.startswith("#") for link in links)


@settings(max_examples=60)
@given(name=st.text(st.characters(exclude_characters="\r\x00"), min_size=1))
def test_any_name_is_shown_as_it_is(name: str) -> None:
    whole = _small(replace(_PICTURE, file_name=name, labels={features.TRANCHE: "1", name: name}))
    html = page.render(whole, blur=False)
    # What a file cannot hold in UTF-8 is written as an escape.
    html = html.encode("utf-8", "backslashreplace").decode()
    shown = name.encode("utf-8", "backslashreplace").decode()
    parsed = Parsed(html)
    assert shown in parsed.within("dd")
    assert parsed.data("matrix-data")[0]["name"] == name


def test_a_training_that_diverged_has_a_page(whole: Review) -> None:
    assert whole.training is not None
    epochs = [
        replace(epoch, loss=float("nan"), eval_loss=float("inf")) for epoch in whole.training.epochs
    ]
    html = page.render(
        Review(run=whole.run, training=replace(whole.training, epochs=epochs)),
        blur=False,
    )
    specs = Parsed(html).data("chart-data")["specs"]
    assert "NaN" not in json.dumps(specs)
    assert "Infinity" not in json.dumps(specs)


def test_blurred_pictures_cannot_be_had_back_from_the_file(whole: Review) -> None:
    assert whole.pictures is not None
    assert whole.data is not None
    html = page.render(whole, blur=True)
    thumbnails = [picture.thumbnail for picture in whole.pictures.shown]
    thumbnails += [image.thumbnail for pair in whole.data.duplicates for image in pair.images]  # type: ignore[misc]
    for thumbnail in thumbnails:
        assert base64.b64encode(thumbnail).decode() not in html
    pictures = [
        base64.b64decode((a.get("src") or "").split(",")[1]) for a in Parsed(html).all("img")
    ]
    sharpest = max(map(_edges, pictures))
    assert sharpest < 0.1 * min(_edges(shown.thumbnail) for shown in whole.pictures.shown)


def _edges(jpeg: bytes) -> float:
    """The strongest edges of a picture: 99th percentile of a Sobel-like filter."""
    with Image.open(io.BytesIO(jpeg)) as picture:
        edges = picture.convert("L").filter(ImageFilter.FIND_EDGES).crop((2, 2, 158, 118))
    return float(np.percentile(np.asarray(edges), 99))


def test_a_schema_of_many_values_is_cut_short(whole: Review) -> None:
    assert whole.validation is not None
    row = SchemaRow("clip", "bytes", "one of " + ", ".join(map(str, range(1000))))
    validation = replace(whole.validation, schema=[row])
    parsed = Parsed(page.render(Review(run=whole.run, validation=validation), blur=False))
    assert "one of 0, 1, 2" in parsed.text
    assert "999" not in parsed.text


def test_the_model_card_is_rendered_without_html() -> None:
    card = "# Card\n\n## Use\n\n<script>alert(1)</script>\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    parsed = Parsed(page.render(replace(_small(_PICTURE), card=card), blur=False))
    assert "Use" in parsed.within("h3")
    assert "<script>alert(1)</script>" in parsed.text
    assert "Card" not in parsed.within("h1") + parsed.within("h2")


def test_every_chart_has_a_summary_and_figures(whole: Review, parsed: Parsed) -> None:
    specs = parsed.data("chart-data")["specs"]
    drawn = [
        attributes["data-chart"] for attributes in parsed.all("div") if "data-chart" in attributes
    ]
    assert sorted(drawn) == sorted(specs)
    assert all(len(spec["description"]) > 20 for spec in specs.values())
    figures = [a for a in parsed.all("details") if a.get("class") == "figures"]
    # History has a table of its own, and differences are in those of the slices.
    assert len(figures) + 2 == len(specs)


def test_what_would_be_one_bar_is_said_in_words(whole: Review) -> None:
    assert whole.data is not None
    assert whole.training is not None
    labels = {column: {"1": tallies["1"]} for column, tallies in whole.data.labels.items()}
    one = replace(
        whole,
        data=replace(
            whole.data,
            labels=labels,
            by_posture={column: {"One": {"Lying": 7}} for column in whole.data.by_posture},
            images_per_clip={4: 9},
            measures=[part for part in whole.data.measures if part.tranche == "1"],
        ),
        training=replace(whole.training, epochs=whole.training.epochs[:1]),
        history=whole.history[-1:],
    )
    parsed = Parsed(page.render(one, blur=False))
    drawn = parsed.data("chart-data")["specs"]
    assert list(drawn) == ["coverage", "differences", "reliability"]
    for words in ("One, Lying: 7 images", "9 clips of 4 images", "Tranche 1: median", "Epoch 1"):
        assert words in parsed.text


@pytest.mark.parametrize("clips", [{1: 3, 2: 1}, {1: 5, 2: 7, 40: 1}, {3: 2, 1000: 9}])
def test_every_clip_is_in_one_bar_of_the_histogram(clips: dict[int, int]) -> None:
    (bars,) = data_charts.images_per_clip(clips).spec["datasets"].values()
    assert sum(bar["clips"] for bar in bars) == sum(clips.values())
    for images, number in clips.items():
        (bar,) = [bar for bar in bars if bar["from"] < images < bar["to"]]
        assert bar["clips"] >= number
    assert len(bars) <= 40


def test_writing_leaves_one_file(tmp_path: Path, whole: Review) -> None:
    path = tmp_path / "review" / "run" / "index.html"
    small = Review(run=whole.run.model_copy(update={"run_id": "run \udc80"}))
    page.write(small, path, blur=False)
    page.write(small, path, blur=False)
    assert list(path.parent.iterdir()) == [path]
    assert "run \\udc80" in path.read_text(encoding="utf-8")


def test_a_page_is_the_same_each_time(whole: Review) -> None:
    assert page.render(whole, blur=False) == page.render(whole, blur=False)


_WHOLE = sample.review()
assert _WHOLE.pictures is not None
_PICTURE = _WHOLE.pictures.shown[0]


def _small(picture: Picture) -> Review:
    assert _WHOLE.overall is not None
    assert _WHOLE.pictures is not None
    return Review(
        run=_WHOLE.run,
        overall=replace(_WHOLE.overall, name=picture.file_name),
        pictures=replace(_WHOLE.pictures, shown=[picture], mistakes=[0], label_errors=[], cells={}),
    )
