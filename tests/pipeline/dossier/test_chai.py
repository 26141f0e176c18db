"""The model card for programs has the elements of CHAI's schema, in its order.

The schema itself is not here; `STRUCTURE` says the same in this project's words. Cards made from
the runs of `sample` were checked against schema.xsd of version 0.2, and found valid.
"""

import json
import re
from dataclasses import replace
from typing import Final
from xml.etree import ElementTree

import pytest

from components.judging.decision import Decision
from pipeline.dossier import checklists
from pipeline.dossier.contents import contents
from pipeline.review.contents import Review
from pipeline.runs.run import Run
from tests.pipeline.dossier import sample
from tests.pipeline.review import sample as pages

NAMESPACE: Final = "{https://mc.chai.org/v0.2/schema.xsd}"
# Children in order; `?` may be absent, `*` may be any number, `+` at least one. Without an entry,
# an element holds text.
STRUCTURE: Final = {
    "AppliedModelCard": "BasicInfo ReleaseInfo ModelSummary UsesAndDirections Warnings"
    " TrustIngredients KeyMetrics Resources Bibliography",
    "BasicInfo": "ModelName ModelDeveloper DeveloperContact",
    "ReleaseInfo": "ReleaseStage ReleaseDate ReleaseVersion GlobalAvailability EHRCompatibility?"
    " RegulatoryApproval?",
    "ModelSummary": "Summary Keywords",
    "Keywords": "Keyword*",
    "UsesAndDirections": "IntendedUseAndWorkflow PrimaryIntendedUsers HowToUse"
    " TargetedPatientPopulation CautionedOutOfScopeSettings",
    "Warnings": "KnownRisksAndLimitations KnownBiasesOrEthicalConsiderations ClinicalRiskLevel",
    "TrustIngredients": "AISystemFacts TransparencyInformation",
    "AISystemFacts": "OutcomesAndOutputs ModelType FoundationModels? InputDataSource"
    " OutputAndInputDataTypes DevelopmentDataCharacterization BiasMitigationApproaches"
    " OngoingMaintenance Security? Transparency?",
    "TransparencyInformation": "FundingSource ThirdPartyInformation? StakeholdersConsulted",
    "KeyMetrics": "UsefulnessUsabilityEfficacy FairnessEquity SafetyReliability",
    **dict.fromkeys(
        ("UsefulnessUsabilityEfficacy", "FairnessEquity", "SafetyReliability"),
        "MetricGoal Results Interpretation TestType TestingDataDescription"
        " ValidationProcessAndJustification",
    ),
    "Results": "MetricResult+",
    "MetricResult": "Label ValueJson",
    "Resources": "EvaluationReferences? ClinicalTrial? PeerReviewedPublications"
    " ReimbursementStatus? PatientConsentOrDisclosure",
}
REVIEWS = pytest.mark.parametrize(
    "review", [sample.review(), pages.first_run(), pages.not_blessed()]
)
RUNS = pytest.mark.parametrize("run", [sample.whole_run(), sample.early_run()])


def card(run: Run, review: Review) -> ElementTree.Element:
    text = contents(run, review)["model_card_chai.xml"]
    return ElementTree.fromstring(text)  # noqa: S314 (written by this project)


def problems(element: ElementTree.Element) -> list[str]:
    """What is not as the schema wants it."""
    name = element.tag.removeprefix(NAMESPACE)
    children = " ".join(child.tag.removeprefix(NAMESPACE) for child in element)
    wanted = "".join(
        rf"(?:{part.rstrip('?*+')} ){part[len(part.rstrip('?*+')) :]}"
        for part in STRUCTURE.get(name, "").split()
    )
    mine = [] if re.fullmatch(wanted, f"{children} ".lstrip()) else [f"{name}: {children}"]
    return mine + [problem for child in element for problem in problems(child)]


def figures(made: ElementTree.Element) -> dict[str, dict[str, object]]:
    return {
        found.findtext(f"{NAMESPACE}Label", ""): json.loads(
            found.findtext(f"{NAMESPACE}ValueJson", "")
        )
        for found in made.iter(f"{NAMESPACE}MetricResult")
    }


@REVIEWS
@RUNS
def test_the_card_has_the_schemas_structure(run: Run, review: Review) -> None:
    made = card(run, review)
    assert made.tag == f"{NAMESPACE}AppliedModelCard"
    assert problems(made) == []
    assert [each.tag for each in made.iter() if not len(each) and not each.text] == [
        f"{NAMESPACE}Bibliography"
    ]


def test_the_structure_is_checked() -> None:
    made = card(sample.whole_run(), sample.review())
    parent = made.find(f"{NAMESPACE}BasicInfo")
    assert parent is not None
    parent.remove(parent[1])
    assert problems(made) == ["BasicInfo: ModelName DeveloperContact"]


def test_figures_are_those_of_the_run() -> None:
    run, review = sample.whole_run(), sample.review()
    assert review.overall and review.overall.low and review.overall.high
    found = figures(card(run, review))
    assert found["Accuracy, All test images, 476 images"] == {
        "kind": "estimate_ci",
        "estimate": round(review.overall.accuracy * 100, 2),
        "lower": round(review.overall.low * 100, 2),
        "upper": round(review.overall.high * 100, 2),
        "level": 95,
        "unit": "%",
    }
    assert isinstance(run.decision, Decision)
    assert found["Recall of Lying"]["estimate"] == round(run.decision.recalls[2].recall * 100, 2)
    difference = found["Accuracy less that of the model in service"]
    assert (difference["kind"], difference["unit"]) == ("estimate_ci", "percentage points")


def test_a_figure_without_an_interval_is_single() -> None:
    found = figures(card(sample.early_run(), sample.review()))
    assert found["Recall of Lying"]["kind"] == "single"


def test_a_name_that_xml_cannot_hold_does_not_break_it() -> None:
    run = sample.whole_run()
    config = run.config.model_copy(update={"base_weights": "/somewhere/\x0b<&>\ufffe.h5"})
    odd = replace(run, snapshot=run.snapshot.model_copy(update={"config": config}))
    found = card(odd, sample.review()).find(f".//{NAMESPACE}FoundationModels")
    assert found is not None and found.text == "Base weights: \ufffd<&>\ufffd.h5."


def test_what_the_clinic_has_to_say_is_left_blank() -> None:
    made = card(sample.whole_run(), sample.review())
    waiting = {
        each.tag.removeprefix(NAMESPACE)
        for each in made.iter()
        if "To be filled in by the clinic: " in (each.text or "")
    }
    assert waiting == {name for blank in checklists.blanks().values() for name in blank.chai}
