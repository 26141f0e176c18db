"""All files of a dossier, as text."""

from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from typing import Final

from components.judging.decision import Decision
from pipeline.dossier import chai, comparison, data
from pipeline.dossier.checklists import (
    BLANKS_FILE,
    asked_by,
    blanks,
    checklists,
    headings,
    where,
)
from pipeline.dossier.templates import render
from pipeline.review import formats, model_card
from pipeline.review.contents import Review, Slice
from pipeline.review.section import Table
from pipeline.runs import verdict
from pipeline.runs.run import Run
from schema import features

_PASSED: Final = {True: "yes", False: "**no**", None: "not checked"}
_GATES: Final = {
    "contract": "The data keep the contract",
    "accuracy": "Accuracy",
    "coverage": "Share of the images that the model is sure of",
    "recall": "Recall",
    "no_worse": "Difference to the model in service",
    "serving": "Requests are answered as in training",
}

# What may be there, in the order of the README.
FILES: Final = {
    "acceptance_plan.md": "what was asked of the model, before it was trained",
    "acceptance_plan.json": "the same, for programs",
    "decision.md": "verdict, gates and sign-off",
    "decision.json": "what the AcceptanceGate found, for programs",
    "comparison.md": "the model beside the one in service and the reference, slice by slice",
    "comparison.csv": "the same, for programs",
    model_card.FILE_NAME: "the model card, for people",
    "model_card_chai.xml": "the same for programs, as the Coalition for Health AI has it (v0.2)",
    "data_provenance.md": "tranches, splits, what was left out, training, versions, settings",
    **{each.file: f"{each.title}: where each item is answered" for each in checklists()},
    BLANKS_FILE: "what only the clinic can say",
}


def contents(run: Run, review: Review) -> dict[str, str]:
    """Words all files of a dossier.

    Args:
      run: as far as it has come.
      review: everything on its page.

    Returns:
      Content by file name. What the run did not come far enough for is absent, and the README
      says why.
    """
    texts = dict(_of_the_run(run, review))
    texts[BLANKS_FILE] = render(BLANKS_FILE, blanks=blanks().values(), asked_by=asked_by)
    lists = {each.file for each in checklists()}
    texts["README.md"] = render(
        "README.md",
        run=run,
        review=review,
        version=version("lookdeep-posture"),
        here={name: about for name, about in FILES.items() if name in texts or name in lists},
        missing={name: why for name, why in _missing(run, review).items() if name not in texts},
    )
    found = headings({name: text for name, text in texts.items() if name.endswith(".md")})
    return texts | {
        each.file: render("checklist.md", checklist=each, where=partial(where, found=found))
        for each in checklists()
    }


def _of_the_run(run: Run, review: Review) -> Iterator[tuple[str, str]]:
    """Names and contents of what the run itself says."""
    if run.plan and review.plan:
        rules = run.plan.acceptance
        yield "acceptance_plan.md", render("acceptance_plan.md", plan=review.plan, rules=rules)
        yield "acceptance_plan.json", run.plan.model_dump_json(indent=2) + "\n"
    yield "decision.md", _decision(run, review)
    if run.decision:
        yield "decision.json", run.decision.model_dump_json(indent=2) + "\n"
        if run.decision.others:
            yield "comparison.md", _comparison(run, run.decision, review)
            yield "comparison.csv", comparison.as_csv(run.decision)
    if review.card:
        yield model_card.FILE_NAME, review.card
    if review.overall:
        yield "model_card_chai.xml", chai.card(run, review, review.overall)
    yield "data_provenance.md", render("data_provenance.md", sections=data.sections(run, review))


def _missing(run: Run, review: Review) -> dict[str, str]:
    """Why a file is not there, if it is not, by name."""
    early = "The run ended before it came this far, or is older than acceptance plans."
    alone = "There was no other model to compare with." if run.decision else early
    return {
        **dict.fromkeys(("acceptance_plan.md", "acceptance_plan.json", "decision.json"), early),
        **dict.fromkeys(("comparison.md", "comparison.csv"), alone),
        model_card.FILE_NAME: review.missing.get("card", "The run trained no model."),
        "model_card_chai.xml": review.missing.get("slices", "The run judged no model."),
    }


def _decision(run: Run, review: Review) -> str:
    decision = run.decision
    return render(
        "decision.md",
        decision=decision,
        meaning=verdict.MEANINGS[review.run.verdict],
        reasons=review.run.reasons,
        gates=_gates(run),
        recalls=_recalls(decision) if decision else None,
        sign_offs=list(map(verdict.told, run.sign_offs)),
        confusion=_confusion(review.overall) if review.overall else None,
        findings=review.run.findings,
    )


def _recalls(decision: Decision) -> Table:
    rows = [
        [
            each.posture,
            formats.count(each.images),
            formats.count(each.clips),
            formats.percent(each.recall),
            formats.between(each.low, each.high),
            formats.percent(each.floor),
            _PASSED[each.passed] if each.passed is not None else "too few clips to decide",
        ]
        for each in decision.recalls
    ]
    columns = ["Posture", "Images", "Clips", "Recall", "95 % interval", "Floor", "Passed"]
    return Table("", columns, rows, [1, 2, 3, 5])


def _gates(run: Run) -> Table:
    """The gates, but for those of the plan, which have tables of their own."""
    own = ("recall", "no_worse") if run.decision else ()
    rows = [
        [
            _GATES[gate.kind] + (f" {verdict.place(gate.place)}" if gate.value is not None else ""),
            formats.percent(gate.limit),
            formats.percent(gate.value),
            _PASSED[gate.passed],
        ]
        for gate in verdict.gates(run)
        if gate.kind not in own
    ]
    return Table("", ["Gate", "Required", "Measured", "Passed"], rows, [1, 2])


def _confusion(overall: Slice) -> Table:
    rows = [
        [posture, *map(formats.count, row)]
        for posture, row in zip(features.POSTURES, overall.confusion, strict=True)
    ]
    return Table("", ["Label", *features.POSTURES], rows, range(1, len(rows) + 1))


def _comparison(run: Run, decision: Decision, review: Review) -> str:
    models = {role: run.compared_with(role) for role in decision.others}
    return render(
        "comparison.md",
        decision=decision,
        comparisons=comparison.tables(decision, run.config.acceptance.least_clips),
        models=verdict.MODELS,
        changes=review.changes.tables().values() if review.changes else (),
        runs={role: model.made_by for role, model in models.items() if model},
    )
