"""The acceptance plan: what was asked, of which clips, and what those can prove."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from components.judging.acceptance import Acceptance
from components.judging.plan import Plan, Provable
from pipeline.review import formats
from pipeline.review.section import Section, Table
from pipeline.runs.record import moment
from pipeline.runs.run import Ledger, Run
from schema import slices

# Settings by their path, as a sentence would name them; recall floors are by posture.
_TITLES: Final = {
    "accuracy_floor": "Least accuracy on all test images",
    "tranche_accuracy_floor": "Least accuracy in each tranche",
    "coverage_floor": "Least share of the images that the model is sure of",
    "recall_floors": "Least recall of {}",
    "in_service.overall": "Allowed loss to the model in service, all test images",
    "in_service.tranche": "Allowed loss to the model in service, each tranche",
    "in_service.posture": "Allowed loss to the model in service, each posture",
    "reference.overall": "Allowed loss to the reference, all test images",
    "reference.tranche": "Allowed loss to the reference, each tranche",
    "reference.posture": "Allowed loss to the reference, each posture",
    "reference_run": "Run whose model is the reference",
    "least_clips": "Clips from which on a slice decides",
    "evidence": "What a loss is judged by",
    "sign_off": "When a person decides",
}
_WORDS: Final = {
    "": "the first that was pushed",
    "estimate": "its estimate; a loss that is proven always counts",
    "proven": "proof: it has to be shown to be within the margin",
    "never": "never",
    "unproven": "where a comparison has not proven the model to be no worse",
    "always": "always",
}


@dataclass(frozen=True)
class PublishedPlan(Section):
    """The plan of a run.

    Attributes:
      sha256: of its settings and test clips.
      sentence: what its test clips can prove.
      settings: their values as text, by what they are called.
      test_clips: their digests, by tranche.
      provable: what they can prove, by slice.
      ledger: the models that they have judged.
      since: the run whose model is in service, if that had a plan; else empty.
      changes: what is not as in that run's plan, a sentence each.
    """

    sha256: str
    sentence: str
    settings: dict[str, str]
    test_clips: dict[str, str]
    provable: list[Provable]
    ledger: Ledger
    since: str
    changes: list[str]

    def tables(self) -> dict[str, Table]:
        """Settings, test clips and what they can prove."""
        return {
            "plan": Table(
                "Settings of the plan", ["Asked", "Value"], [*map(list, self.settings.items())]
            ),
            "test_clips": Table(
                "Test clips of each tranche, and the models that they have judged by now",
                ["Tranche", "Models", "First", "Last", "SHA-256 of the test clips"],
                [
                    [
                        tranche,
                        formats.count(len(models := self.ledger.get(tranche, ()))),
                        _day(models[0].started) if models else formats.ABSENT,
                        _day(models[-1].started) if models else formats.ABSENT,
                        digest,
                    ]
                    for tranche, digest in self.test_clips.items()
                ],
                [1, 2, 3],
            ),
            "provable": Table(
                "Smallest loss that the test clips can show a model as good as the other to stay"
                " within",
                ["Slice", "Images", "Clips", "Loss"],
                [
                    [
                        slices.name(each.place),
                        formats.count(each.images),
                        formats.count(each.clips),
                        formats.loss(each.margin),
                    ]
                    for each in self.provable
                ],
                [1, 2, 3],
            ),
        }


def published(run: Run, in_service: Run | None) -> PublishedPlan | None:
    """Reads the plan of a run.

    Args:
      run: the run.
      in_service: the run whose model was in service when this one was judged, if there is one.

    Returns:
      None if the run ended before its plan, or is of an earlier time.
    """
    plan = run.plan
    if plan is None:
        return None
    earlier = in_service.plan if in_service else None
    return PublishedPlan(
        sha256=plan.sha256,
        sentence=plan.sentence,
        settings=_told(plan.acceptance),
        test_clips=plan.test_clips,
        provable=plan.provable,
        ledger=run.ledger,
        since=in_service.id if in_service and earlier else "",
        changes=_changes(earlier, plan) if earlier else [],
    )


def _told(acceptance: Acceptance) -> dict[str, str]:
    """The settings as people read them."""
    return dict(_settings(acceptance))


def _settings(acceptance: Acceptance) -> Iterator[tuple[str, str]]:
    for name, value in acceptance.model_dump().items():
        match value:
            case dict() if name == "recall_floors":
                for posture, floor in value.items():
                    yield _TITLES[name].format(posture), formats.percent(floor)
            case dict():
                for part, margin in value.items():
                    yield _TITLES[f"{name}.{part}"], formats.loss(margin)
            case str():
                yield _TITLES[name], _WORDS.get(value, value)
            case int():
                yield _TITLES[name], formats.count(value)
            case _:
                yield _TITLES[name], formats.percent(value)


def _changes(earlier: Plan, plan: Plan) -> list[str]:
    before, now = _told(earlier.acceptance), _told(plan.acceptance)
    changes = [
        f"{title}: {before.get(title, formats.ABSENT)} before, {text} now."
        for title, text in now.items()
        if before.get(title) != text
    ]
    for tranche, digest in plan.test_clips.items():
        if tranche not in earlier.test_clips:
            changes.append(f"Test clips of tranche {tranche}: new.")
        elif earlier.test_clips[tranche] != digest:
            changes.append(f"Test clips of tranche {tranche}: others, or their labels changed.")
    changes += [
        f"Test clips of tranche {tranche}: no longer asked."
        for tranche in earlier.test_clips
        if tranche not in plan.test_clips
    ]
    return changes


def _day(seconds: float) -> str:
    return moment(seconds).partition("T")[0]
