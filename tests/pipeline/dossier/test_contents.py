"""What is in a dossier, of runs that came to different ends."""

import re
from dataclasses import replace

import markdown_it
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.examples.findings import Finding
from components.judging.decision import Decision
from components.judging.plan import Plan
from components.serving.versions import SignOff
from pipeline.dossier.contents import contents
from pipeline.dossier.data import Section
from pipeline.dossier.templates import one_line, render
from pipeline.review.contents import Review
from pipeline.review.section import Table
from pipeline.runs import names
from tests.pipeline.dossier import sample
from tests.pipeline.review import sample as pages

CHECKLISTS = {"pccp_appendix_a.md", "tripod_ai.md", "claim_2024.md", "TO_FILL_IN.md"}
ALWAYS = {"README.md", "decision.md", "data_provenance.md"} | CHECKLISTS
OF_THE_PLAN = {"acceptance_plan.md", "acceptance_plan.json", "decision.json"}
OF_A_COMPARISON = {"comparison.md", "comparison.csv"}
OF_A_MODEL = {"model_card.md", "model_card_chai.xml"}


def links(texts: dict[str, str]) -> set[str]:
    """The files that the README leads to."""
    return set(re.findall(r"\]\(([^)#]+)\)", texts["README.md"]))


def missing(texts: dict[str, str]) -> dict[str, str]:
    """Why a file is not there, by name."""
    listed = texts["README.md"].partition("## What is missing")[2]
    return dict(re.findall(r"^- ([\w.]+): (.+)$", listed, re.MULTILINE))


def html(markdown: str) -> str:
    return markdown_it.MarkdownIt("commonmark").enable("table").render(markdown)


def test_a_whole_run_has_everything() -> None:
    texts = contents(sample.whole_run(), sample.review())
    assert set(texts) == ALWAYS | OF_THE_PLAN | OF_A_COMPARISON | OF_A_MODEL
    assert links(texts) == set(texts) - {"README.md"}
    assert missing(texts) == {}


def test_plan_and_decision_are_the_runs_own() -> None:
    run = sample.whole_run()
    texts = contents(run, sample.review())
    assert Plan.model_validate_json(texts["acceptance_plan.json"]) == run.plan
    assert Decision.model_validate_json(texts["decision.json"]) == run.decision
    assert run.plan
    assert run.plan.sha256 in texts["acceptance_plan.md"]
    assert run.plan.sentence in texts["acceptance_plan.md"]
    assert "| Least recall of Lying | 70.0" in texts["acceptance_plan.md"]
    assert "| 3 | 5 | 2026-" in texts["acceptance_plan.md"], "models that its clips have judged"
    assert run.plan.sha256 in texts["decision.md"]
    assert "| Lying | 141 | " in texts["decision.md"]
    assert "By the plan nobody had to decide." in texts["decision.md"]


def test_what_people_decided_is_told() -> None:
    run = sample.whole_run()
    assert run.decision and run.model
    asked = run.decision.model_copy(update={"sign_off": ["2 slices could not prove it."]})
    signed = SignOff(
        kind="approved",
        by="A. Nurse <a@b>",
        reason="Seen | all\nof it.",
        time=1_780_000_000_000,
        run_id=run.id,
        model_id=51,
        model_created=0,
        version=7,
    )
    texts = contents(replace(run, decision=asked, sign_offs=(signed,)), sample.review())
    told = texts["decision.md"].partition("## Sign-off")[2].partition("## ")[0]
    assert "- 2 slices could not prove it." in told
    assert (
        "- A. Nurse &lt;a@b&gt; approved the model, which went into service as version 7"
        " (2026-05-28 20:26 UTC): Seen | all of it."
    ) in told


def test_an_old_run_says_what_it_lacks() -> None:
    texts = contents(sample.early_run(), sample.early_review())
    assert set(texts) == ALWAYS | OF_A_MODEL
    assert links(texts) == set(texts) - {"README.md"}
    assert missing(texts) == dict.fromkeys(
        OF_THE_PLAN | OF_A_COMPARISON,
        "The run ended before it came this far, or is older than acceptance plans.",
    )
    assert "Not in this run (README.md says why): `acceptance_plan.md" in texts["tripod_ai.md"]
    assert "The run has no decision by an acceptance plan." in texts["decision.md"]


def test_a_first_model_was_compared_with_none() -> None:
    run = sample.whole_run()
    assert run.decision
    alone = replace(run, decision=run.decision.model_copy(update={"others": {}, "comparisons": []}))
    texts = contents(alone, sample.review())
    why = "There was no other model to compare with."
    assert missing(texts) == dict.fromkeys(OF_A_COMPARISON, why)


def test_refused_data_have_a_dossier_without_a_model() -> None:
    texts = contents(sample.early_run(), pages.refused())
    assert set(texts) == ALWAYS
    assert set(missing(texts)) >= OF_A_MODEL
    assert "The column primary_posture holds 12 values" in texts["decision.md"]
    assert "| The file is not in the archive. | 1 | 12 |" in texts["data_provenance.md"]


@pytest.mark.parametrize("review", [sample.review(), pages.first_run(), pages.refused()])
def test_no_image_is_named(review: Review) -> None:
    for name, text in contents(sample.whole_run(), review).items():
        assert not re.search(r"frame_\d|clip_\d|_cat-1_|f\.png", text), name


def test_hostile_names_stay_text() -> None:
    review = pages.with_hostile_names(sample.review())
    assert review.validation
    findings = [Finding(severity="warning", sentence=name) for name in pages.HOSTILE_NAMES]
    review = replace(review, validation=replace(review.validation, findings=findings))
    for name, text in contents(sample.whole_run(), replace(review, card="")).items():
        shown = html(text) if name.endswith(".md") else text
        assert not re.search(r"<(script|svg|img)", text + shown), name


@given(st.text(st.characters(exclude_characters="\r\n")))
def test_a_purge_finds_the_name_that_a_sentence_quotes(clip: str) -> None:
    text = one_line(f'The image "{clip}{names.MARK}001.png"\nhas no label.')
    purged = f'The image "{names.PURGED.decode()}" has no label.'
    assert names.Names([clip + names.MARK], []).without(text) == purged


@given(st.lists(st.text(), min_size=2, max_size=4))
def test_a_cell_holds_any_text(cells: list[str]) -> None:
    table = Table("", [f"Column {number}" for number in range(len(cells))], [cells])
    shown = html(render("data_provenance.md", sections=[Section("Heading", "", table)]))
    assert shown.count("<td") == len(cells)
    assert shown.count("<tr") == 2
