"""A whole review for the tests of its page: consistent, seeded, and with drawn pictures."""

import io
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from math import sqrt
from typing import Any, Final

import pandas as pd
from PIL import Image, ImageDraw

from components.examples import parquet
from components.examples.findings import Finding
from components.examples.near_duplicates import NearDuplicate
from components.judging import comparison
from components.judging.acceptance import Acceptance, Margins, ReferenceMargins
from components.judging.plan import Plan, Provable
from components.training import calibration
from pipeline.config import PipelineConfig
from pipeline.review import changes, errors, plan, slices, summary
from pipeline.review import comparison as beside
from pipeline.review.contents import GateRow, Review, Slice, SliceGroup
from pipeline.review.data_charts import Quantiles
from pipeline.review.data_checks import SchemaRow, TrancheDistance, Validation
from pipeline.review.data_summary import Data
from pipeline.review.duplicates import PairedImage
from pipeline.review.gallery import Answer, ByCell, Gallery, Picture
from pipeline.review.learning_curves import Epoch, PhaseSummary, Training
from pipeline.review.provenance import MadeArtifact, Provenance
from pipeline.review.reliability import CalibrationBin, CoveragePoint, Reliability
from pipeline.runs import verdict
from pipeline.runs.left_out import Contradiction, Reject
from pipeline.runs.record import Record
from pipeline.runs.run import (
    Artifact,
    Counts,
    Evaluation,
    Gate,
    Judgement,
    Run,
    ServingReport,
    SliceMetrics,
    Snapshot,
    Stage,
)
from schema import features
from schema.features import Role

HOSTILE_NAMES: Final = (
    "<img src=x onerror=alert(1)>.png",
    "</script><script>alert(1)</script>.png",
    "'\"><svg onload=alert(1)>{{ 7 * 7 }}.png",
    "long " + "name_" * 40 + ".png",
)
IMAGES: Final = 476
RUN: Final = "2026-11-23T140507-4f1c"
THRESHOLD: Final = 0.655
TRANCHES: Final = ("1", "2", "3")
OTHERS: Final[dict[Role, int]] = {"in_service": 31, "reference": 11}
COLOURS: Final = {"Sitting": "#7d4f9e", "Standing": "#2f7d6b", "Lying": "#b5651d"}
BOXES: Final = {  # the drawn person: left, top, right, bottom
    "Sitting": (62, 44, 98, 96),
    "Standing": (66, 14, 92, 104),
    "Lying": (24, 66, 132, 92),
}


def review(images: list[dict[str, str]] | None = None) -> Review:
    """The page of a model that was pushed, with everything on it.

    Args:
      images: the test images; some of no note by default.
    """
    test = images or test_images()
    run = judged(test, OTHERS)
    overall, groups = _slices(test, run)
    every = [part for group in groups for part in group.slices]
    this = _record(
        overall,
        groups[0].slices,
        run_id=RUN,
        started="2026-11-23T14:05:07+00:00",
        demo=True,
        plan=run.plan,
        decision=run.decision,
        judged={tranche: len(models) for tranche, models in run.ledger.items()},
        seconds=826.4,
        components=[
            Stage(name="Ingestion", state="ran", seconds=41.2),
            Stage(name="Transform", state="cached", seconds=0.4),
            Stage(name="Trainer", state="ran", seconds=512.9),
            Stage(name="Evaluator", state="ran", seconds=98.0),
            Stage(name="Pusher", state="ran", seconds=1.1),
        ],
        paths={"pushed": "output/serving/posture/1763906707"},
    )
    history = _history(overall, groups[0].slices, this)
    return Review(
        run=this,
        sentence=summary.headline(this),
        gates=summary.gates(run, [overall, *every]),
        errors=errors.errors(run, predictions(test)),
        plan=plan.published(run, _before(history[3].run_id, test)),
        comparison=beside.comparisons(run, history, 20),
        overall=overall,
        groups=groups,
        worst=slices.worst([overall, *every], 20, predictions(test), 3),
        changes=changes.changes(predictions(test)),
        calibration=_calibration(test),
        pictures=_pictures(test),
        data=_data(test),
        validation=_validation(),
        training=_training(),
        history=history,
        lineage=_lineage(),
        card=CARD,
    )


def not_blessed() -> Review:
    """The page of a model that is proven to be worse on Lying in tranche 2."""
    test = test_images(wrong=0.95)
    whole = review(test)
    run = judged(test, OTHERS)
    record = whole.run.model_copy(
        update={
            "verdict": "not_blessed",
            "demo": False,
            "reasons": verdict.reasons(run),
            "paths": {},
        }
    )
    return replace(whole, run=record, sentence=summary.headline(record))


def refused() -> Review:
    """The page of a run that the ValidationGate stopped."""
    whole = review()
    reasons = [
        "The column primary_posture holds 12 values that the schema does not know: 'Lieing'.",
        "The share of Lying differs between tranches 1 and 3 by 0.41; at most 0.3 is allowed.",
    ]
    ended = "The run ended before a model was trained, because the data was refused."
    return Review(
        run=whole.run.model_copy(
            update={
                "verdict": "invalid_data",
                "demo": False,
                "reasons": reasons,
                "plan": None,
                "decision": None,
                "judged": {},
                "accuracy": None,
                "metrics": {},
                "paths": {},
            }
        ),
        sentence="The data was refused, so no model was trained.",
        gates=[
            GateRow("The data", None, None, False, "The data breaks the contract in two points."),
            GateRow("Accuracy", None, 0.87, None, "The run ended before."),
            GateRow("Serving", None, None, None, "The run ended before."),
        ],
        data=whole.data,
        validation=Validation(
            passed=False,
            findings=[Finding(severity="blocking", sentence=reason) for reason in reasons],
            schema=_validation().schema,
            drift=_validation().drift,
        ),
        history=whole.history,
        lineage=whole.lineage,
        missing=dict.fromkeys(
            (
                *("plan", "comparison", "slices", "confusion", "changes", "calibration"),
                *("pictures", "training", "card"),
            ),
            ended,
        ),
    )


def first_run() -> Review:
    """The page of a run with no model before it."""
    test = test_images()
    whole, run = review(test), judged(test, {})
    assert whole.pictures is not None
    overall, groups = _slices(test, run)
    record = whole.run.model_copy(update={"decision": run.decision, "plan": run.plan})
    return replace(
        whole,
        run=record,
        sentence=summary.headline(record),
        gates=summary.gates(run, [overall, *(part for group in groups for part in group.slices)]),
        errors=errors.errors(run, predictions(test)),
        plan=plan.published(run, None),
        comparison=None,
        changes=None,
        pictures=replace(
            whole.pictures,
            shown=[replace(picture, other=None) for picture in whole.pictures.shown],
            lost={},
            gained={},
        ),
        overall=overall,
        groups=groups,
        history=[record],
    )


def before_plans() -> Review:
    """The page of a run of a time before acceptance plans, and answers of the model alone."""
    test = test_images()
    run = replace(judged(test, {}), plan=None, decision=None)
    whole = first_run()
    record = whole.run.model_copy(update={"decision": None, "plan": None, "judged": {}})
    alone = predictions(test).drop(columns=[parquet.answer_of(role) for role in features.ROLES])
    return replace(
        whole,
        run=record,
        sentence=summary.headline(record),
        gates=summary.gates(run, []),
        errors=errors.errors(run, alone),
        plan=None,
        missing=dict.fromkeys(("plan", "comparison"), "Runs of its time did not have it."),
    )


def judged(test: list[dict[str, str]], others: dict[Role, int]) -> Run:
    """A run that has judged a model, by the real gate.

    Args:
      test: the test images.
      others: numbers of the models to compare with.
    """
    table = predictions(test)
    snapshot = _snapshot(RUN, 0.7)
    asked = _plan(table, snapshot.config.acceptance)
    overall, groups = _slices(test, None)
    parts = [overall, *(part for group in groups for part in group.slices)]
    metrics = {part.key: _metrics(part) for part in parts}
    floors = [
        Gate(
            kind="accuracy",
            place=part.key,
            value=part.accuracy,
            limit=limit,
            passed=part.accuracy >= limit,
        )
        for part, limit in [(overall, 0.85), *((part, 0.75) for part in groups[0].slices)]
    ]
    coverage = Gate(kind="coverage", value=overall.coverage, limit=0.5, passed=True)
    model = Artifact(51, "Model", "/model", {}, 0, RUN, 512.9)
    gate = Artifact(7, "Verdict", "/gate", {"passed": 1}, 0, RUN, 0.1)
    pusher = Stage(name="Pusher", state="ran", seconds=1.1)
    return Run(
        snapshot=snapshot,
        components=(pusher,),
        outputs={("Trainer", "model"): model, ("ValidationGate", "verdict"): gate},
        serving=ServingReport(9, ()),
        plan=asked,
        decision=comparison.judge(table, asked, others),
        read_evaluation=lambda: Evaluation(metrics, (*floors, coverage)),
        read_ledger=lambda: {
            tranche: tuple(
                Judgement(f"run {number}", 1.78e9 + 3e6 * number, number)
                for number in range(5 if tranche == "3" else 8)
            )
            for tranche in TRANCHES
        },
    )


def _plan(table: pd.DataFrame, acceptance: Acceptance) -> Plan:
    return Plan(
        acceptance=acceptance,
        test_clips={tranche: f"{tranche}a" * 32 for tranche in TRANCHES},
        provable=[
            Provable(
                place=place,
                images=len(rows),
                clips=rows[features.CLIP].nunique(),
                margin=0.9 / len(rows) ** 0.5,
            )
            for columns in comparison.FAMILIES
            for place, rows in comparison.cut(table, columns)
        ],
    )


def predictions(images: list[dict[str, str]]) -> pd.DataFrame:
    """The Predictor's table: the answers of the candidate, and of the two others."""
    rows = []
    for image in images:
        confidence, before = float(image["confidence"]), float(image["before_confidence"])
        rest = dict.fromkeys(features.POSTURES, (1 - confidence) / 2)
        rows.append(
            {
                **image,
                **(rest | {image["predicted"]: confidence}),
                features.UNSURE: confidence < THRESHOLD,
                parquet.answer_of("in_service"): image["before"],
                parquet.confidence_of("in_service"): before,
                parquet.unsure_of("in_service"): before < 0.6,
                parquet.answer_of("reference"): image["reference"],
            }
        )
    return pd.DataFrame(rows)


def _before(run_id: str, test: list[dict[str, str]]) -> Run:
    """The run whose model was in service, with a plan that was less strict."""
    snapshot = _snapshot(run_id, 0.65)
    return Run(snapshot=snapshot, plan=_plan(predictions(test), snapshot.config.acceptance))


def _snapshot(run_id: str, floor: float) -> Snapshot:
    acceptance = Acceptance(
        accuracy_floor=0.85,
        recall_floors=dict.fromkeys(features.POSTURES, floor),
        in_service=Margins(overall=0.01, tranche=0.1, posture=0.1),
        reference=ReferenceMargins(overall=0.02, tranche=0.1, posture=0.1),
        least_clips=40,
    )
    return Snapshot(run_id=run_id, config=PipelineConfig(acceptance=acceptance), started=0.0)


def with_hostile_names(whole: Review) -> Review:
    """The same review with names and label values that try to leave their place."""
    assert whole.pictures is not None
    assert whole.data is not None
    bad = HOSTILE_NAMES[1]
    shown = list(whole.pictures.shown)
    for index, name in zip(whole.pictures.mistakes, HOSTILE_NAMES, strict=False):
        shown[index] = replace(
            shown[index], file_name=name, labels={**shown[index].labels, name: name}
        )
    labels = {
        column: {
            tranche: {**values, **dict.fromkeys(HOSTILE_NAMES, 3)}
            for tranche, values in tranches.items()
        }
        for column, tranches in whole.data.labels.items()
    }
    pair = whole.data.duplicates[0]
    sides = [
        replace(image, file_name=name, clip=name, posture=name)
        for image, name in zip(pair.images, HOSTILE_NAMES, strict=False)
    ]
    tranche = whole.groups[0]
    renamed = [
        replace(part, values=(name,), name=name)
        for part, name in zip(tranche.slices, HOSTILE_NAMES, strict=False)
    ]
    assert whole.comparison is not None
    names = dict(zip(TRANCHES, HOSTILE_NAMES, strict=False))
    compared = [
        each.model_copy(
            update={"place": tuple((key, names.get(value, value)) for key, value in each.place)}
        )
        for each in whole.comparison.comparisons
    ]
    return replace(
        whole,
        run=whole.run.model_copy(update={"run_id": bad, "reasons": [bad]}),
        comparison=replace(whole.comparison, comparisons=compared),
        groups=[replace(tranche, slices=renamed), *whole.groups[1:]],
        worst=renamed,
        pictures=replace(whole.pictures, shown=shown),
        data=replace(
            whole.data, labels=labels, duplicates=[replace(pair, images=(sides[0], sides[1]))]
        ),
        history=[
            run.model_copy(
                update={
                    "run_id": bad,
                    "metrics": {
                        name: SliceMetrics(example_count=1, accuracy=0.9)
                        for name in ("overall", *(f"tranche={bad}" for bad in HOSTILE_NAMES))
                    },
                }
            )
            for run in whole.history
        ],
        card=f"# Model card\n\n{bad}\n\n[click](javascript:alert(1))\n",
    )


def test_images(wrong: float = 0.28) -> list[dict[str, str]]:
    """Labels and answers of the test split.

    Args:
      wrong: the share that the candidate gets wrong of Lying in tranche 2.
    """
    dice = random.Random(3)  # noqa: S311 (drawn data, no secret)
    images = []
    for number in range(IMAGES):
        tranche = dice.choices(TRANCHES, (3, 1, 2))[0]
        actual = dice.choices(features.POSTURES, (4, 3, 3))[0]
        chance = wrong if (tranche, actual) == ("2", "Lying") else 0.06
        others = [posture for posture in features.POSTURES if posture != actual]
        images.append(
            {
                features.FILE_NAME: f"frame_{number:04d}.png",
                features.CLIP: f"clip_{number // 8:03d}",
                "tranche": tranche,
                features.HOW_MANY: dice.choices(("One", "Two"), (9, 1))[0],
                features.POSTURE: actual,
                features.OCCLUDED: dice.choices(("No", "Yes", features.BLANK), (12, 5, 1))[0],
                features.PERSON_TYPE: dice.choices(("Patient", "Staff", "Other"), (6, 3, 1))[0],
                "light": dice.choices(("usual", "dark", "bright"), (3, 1, 1))[0],
                **dict.fromkeys(("focus", "size"), "usual"),
                "colour": "colour",
                "predicted": dice.choice(others) if dice.random() < chance else actual,
                "confidence": f"{dice.uniform(0.5, 0.999):.4f}",
            }
        )
    dice = random.Random(4)  # noqa: S311 (drawn data, no secret)
    for image in images:
        for name in ("before", "reference"):
            image[name] = image["predicted"]
            if image["predicted"] != image[features.POSTURE] and dice.random() < 0.7:
                image[name] = image[features.POSTURE]
            elif dice.random() < 0.1:
                image[name] = dice.choice(features.POSTURES)
        image["before_confidence"] = f"{dice.uniform(0.5, 0.999):.4f}"
    return images


def _slices(test: list[dict[str, str]], run: Run | None) -> tuple[Slice, list[SliceGroup]]:
    """All test images, and their slices; with the comparisons of a run that has judged them."""
    groups = [
        _group("Tranche", ("tranche",), test),
        _group("Occlusion", (features.OCCLUDED,), test),
        _group("Number of persons", (features.HOW_MANY,), test),
        _group("Kind of person", (features.PERSON_TYPE,), test),
        _group("Posture", (features.POSTURE,), test),
        _group("Posture by tranche", ("tranche", features.POSTURE), test),
        _group(
            "Light",
            ("light",),
            test,
            "Dark is the darkest fifth of the training images, bright the brightest fifth.",
        ),
    ]
    compared = run.decision.comparisons if run and run.decision else []

    def with_comparisons(part: Slice) -> Slice:
        mine = {each.against: each for each in compared if each.place == part.key}
        return replace(part, comparisons=mine)

    return with_comparisons(_slice((), (), "All test images", test)), [
        replace(group, slices=list(map(with_comparisons, group.slices))) for group in groups
    ]


def _slice(
    columns: tuple[str, ...], values: tuple[str, ...], name: str, images: list[dict[str, str]]
) -> Slice:
    cells = Counter((image[features.POSTURE], image["predicted"]) for image in images)
    confusion = [[cells[actual, guess] for guess in features.POSTURES] for actual in _POSTURES]
    count = len(images)
    right = sum(confusion[i][i] for i in range(3))
    low, high = _wilson(right, count)
    actual = [sum(row) for row in confusion]
    guessed = [sum(column) for column in zip(*confusion, strict=True)]
    recall = {p: confusion[i][i] / actual[i] if actual[i] else None for i, p in _NUMBERED}
    precision = {p: confusion[i][i] / guessed[i] if guessed[i] else None for i, p in _NUMBERED}
    sure = [image for image in images if float(image["confidence"]) >= THRESHOLD]
    return Slice(
        columns=columns,
        values=values,
        name=name,
        count=count,
        accuracy=right / count,
        low=low if count >= 10 else None,
        high=high if count >= 10 else None,
        macro_f1=right / count - 0.004 if count >= 30 and sum(map(any, confusion)) > 1 else None,
        recall=recall,
        precision=precision,
        calibration_error=0.031 + 1 / (count + 20),
        coverage=len(sure) / count,
        selective_accuracy=_accuracy(sure) if sure else None,
        confusion=confusion,
    )


_POSTURES: Final = features.POSTURES
_NUMBERED: Final = tuple(enumerate(features.POSTURES))


def _group(
    title: str, columns: tuple[str, ...], images: list[dict[str, str]], note: str = ""
) -> SliceGroup:
    parts: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for image in images:
        parts.setdefault(tuple(image[column] for column in columns), []).append(image)
    return SliceGroup(
        title,
        note,
        [
            _slice(columns, values, _name(columns, values), parts[values])
            for values in sorted(parts)
        ],
    )


def _name(columns: tuple[str, ...], values: tuple[str, ...]) -> str:
    if columns == ("tranche", features.POSTURE):
        return f"{values[1]} in tranche {values[0]}"
    prefix = {"tranche": "Tranche", features.OCCLUDED: "Occluded:", "light": "Light:"}
    return f"{prefix.get(columns[0], '')} {values[0]}".strip()


def _wilson(right: int, count: int) -> tuple[float, float]:
    """Bounds of a proportion, 95 %; Wilson (1927)."""
    z, share = 1.96, right / count
    middle = share + z * z / (2 * count)
    spread = z * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return (middle - spread) / scale, (middle + spread) / scale


def _calibration(images: list[dict[str, str]]) -> Reliability:
    ranked = sorted(images, key=lambda image: -float(image["confidence"]))
    bins, coverage = [], []
    for number in range(15):
        low, high = number / 15, (number + 1) / 15
        inside = [image for image in images if low < float(image["confidence"]) <= high]
        if inside:
            confidence = sum(float(image["confidence"]) for image in inside) / len(inside)
            right = sum(image["predicted"] == image[features.POSTURE] for image in inside)
            bins.append(
                CalibrationBin(
                    low,
                    high,
                    len(inside),
                    len({image[features.CLIP] for image in inside}),
                    confidence,
                    right / len(inside),
                    *_wilson(right, len(inside)),
                )
            )
    for kept in range(20, IMAGES + 1, 6):
        accepted = ranked[:kept]
        coverage.append(
            CoveragePoint(float(accepted[-1]["confidence"]), kept / IMAGES, _accuracy(accepted))
        )
    fitted = calibration.Calibration(
        threshold=THRESHOLD,
        coverage=0.68,
        selective_accuracy=0.971,
        temperature=1.82,
        wanted_accuracy=0.95,
        error_before=0.067,
        error_after=0.041,
        images=514,
        clips=121,
    )
    sure = [image for image in images if float(image["confidence"]) >= THRESHOLD]
    return Reliability(bins, 0.042, coverage, len(sure) / IMAGES, _accuracy(sure), fitted)


def _accuracy(images: list[dict[str, str]]) -> float:
    return sum(image["predicted"] == image[features.POSTURE] for image in images) / len(images)


def _pictures(images: list[dict[str, str]]) -> Gallery:
    wrong = [image for image in images if image["predicted"] != image[features.POSTURE]]
    wrong.sort(key=lambda image: -float(image["confidence"]))
    kept = {image[features.FILE_NAME]: image for image in wrong[:30]}
    changed: dict[str, list[dict[str, str]]] = {"lost": [], "gained": []}
    for image in images:
        was, is_ = (image[key] == image[features.POSTURE] for key in ("before", "predicted"))
        # None of the right ones of tranche 3, so that an empty cell is among them.
        if was != is_ and not (is_ and image["tranche"] == "3"):
            changed["lost" if was else "gained"].append(image)
            kept.setdefault(image[features.FILE_NAME], image)
    cells: Counter[tuple[str, str, str]] = Counter()
    for image in images:
        cell = (image["tranche"], image[features.POSTURE], image["predicted"])
        if cells[cell] < 4 and (cell[0] != "3" or cell[1] != cell[2]):
            cells[cell] += 1
            kept.setdefault(image[features.FILE_NAME], image)
    shown = [
        _picture(image, with_attention=number < 30) for number, image in enumerate(kept.values())
    ]
    by_cell: dict[tuple[str, str], list[int]] = {}
    for index, picture in enumerate(shown):
        by_cell.setdefault((picture.actual, picture.predicted), []).append(index)
    places = {picture.file_name: index for index, picture in enumerate(shown)}

    def of(key: str, answer: str) -> ByCell:
        found: ByCell = {}
        for image in changed[key]:
            error = (image[features.POSTURE], image[answer])
            found.setdefault(error, []).append(places[image[features.FILE_NAME]])
        return found

    return Gallery(
        shown=shown,
        lost=of("lost", "predicted"),
        gained=of("gained", "before"),
        mistakes=list(range(12)),
        label_errors=[4, 9, *range(12, 18)],
        cells=by_cell,
        label_error_count=11,
        mistake_count=len(wrong),
    )


def _picture(image: dict[str, str], with_attention: bool) -> Picture:
    actual, predicted = image[features.POSTURE], image["predicted"]
    confidence = float(image["confidence"])
    rest = (1 - confidence) / 2
    before = float(image["before_confidence"])
    return Picture(
        file_name=image[features.FILE_NAME],
        clip=image[features.CLIP],
        labels={
            key: value
            for key, value in image.items()
            if key in ("tranche", "light", *features.LABEL_VALUES)
        },
        actual=actual,
        predicted=predicted,
        unsure=confidence < THRESHOLD,
        other=Answer(image["before"], before, before < 0.6),
        probabilities={p: confidence if p == predicted else rest for p in features.POSTURES},
        thumbnail=_draw(actual, image["light"] == "dark"),
        attention=_draw(actual, image["light"] == "dark", attention=True)
        if with_attention
        else None,
        label_quality=round(1 - confidence, 4),
    )


def _draw(posture: str, dark: bool, attention: bool = False) -> bytes:
    """JPEG of a room of 160 by 120 pixels with one person in it."""
    picture = Image.new("RGB", (160, 120), "#5c5f66" if dark else "#d9dde3")
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 92, 160, 120), fill="#3f4147" if dark else "#b9b2a6")
    pen.rectangle((16, 78, 140, 98), fill="#8d8a9b" if dark else "#f4f5f8")
    left, top, right, bottom = BOXES[posture]
    pen.rounded_rectangle((left, top + 14, right, bottom), 8, fill=COLOURS[posture])
    head = (left - 12, top, left + 10, top + 22) if posture == "Lying" else None
    middle = (left + right) // 2
    pen.ellipse(head or (middle - 11, top - 8, middle + 11, top + 14), fill="#d8b08c")
    if attention:
        glow = Image.new("RGB", picture.size, "#00224e")
        ImageDraw.Draw(glow).ellipse((left, top, right, bottom), fill="#fee838")
        picture = Image.blend(picture, glow, 0.5)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=70)
    return stream.getvalue()


def _data(images: list[dict[str, str]]) -> Data:
    dice = random.Random(5)  # noqa: S311 (drawn data, no secret)
    columns = (features.POSTURE, features.OCCLUDED, features.HOW_MANY, features.PERSON_TYPE)
    labels: dict[str, dict[str, dict[str, int]]] = {}
    by_posture: dict[str, dict[str, dict[str, int]]] = {}
    for column in columns:
        labels[column] = {
            tranche: _tally(image[column] for image in images if image["tranche"] == tranche)
            for tranche in TRANCHES
        }
        labels[column]["3"][features.BLANK] = 17
        if column != features.POSTURE:
            by_posture[column] = {
                value: _tally(image[features.POSTURE] for image in images if image[column] == value)
                for value in sorted({image[column] for image in images})
            }
    for tranche in TRANCHES:
        labels[features.POSTURE][tranche][features.UNKNOWN_POSTURE] = 40 + int(tranche)
    usual = {"width": 1280.0, "height": 720.0, "brightness": 110.0, "contrast": 48.0}
    usual |= {"sharpness": 320.0, "saturation": 60.0}
    measures = []
    for measure, middle in usual.items():
        for tranche in TRANCHES:
            median = middle * dice.uniform(0.8, 1.2)
            low, lower, upper, high = (median * factor for factor in (0.5, 0.8, 1.3, 1.7))
            measures.append(Quantiles(measure, tranche, low, lower, median, upper, high))
    return Data(
        images=4080,
        clips=512,
        splits={"train": 2862, "eval": 412, "test": IMAGES, "unselected": 330},
        clips_by_split={"train": 358, "eval": 52, "test": 60, "unselected": 42},
        labels=labels,
        by_posture=by_posture,
        images_per_clip={number: dice.randint(2, 40) for number in range(1, 19)},
        measures=measures,
        duplicates=[_duplicate(number) for number in range(14)],
        rejects=[
            Reject("1", "The file is not in the archive.", 12, "frame_2001.png"),
            Reject("3", "The file cannot be opened as an image.", 2, "frame_3100.png"),
        ],
        contradictions=[
            Contradiction(
                "How many is None, yet a posture is given.",
                31,
                ["frame_0100.png", "frame_0101.png"],
            )
        ],
    )


def _duplicate(number: int) -> NearDuplicate:
    """Two images whose names are as long as in real data; the first four pairs cross splits."""
    sides = [("1", "train", "Lying"), ("2", "test" if number < 4 else "train", "Sitting")]
    one, other = (
        PairedImage(
            file_name=f"{number + 1:x}{tranche}" * 32 + f"_cat-1_{number:03d}.jpeg",
            clip=f"{number + 1:x}{tranche}" * 32,
            tranche=tranche,
            split=split,
            posture=posture,
            thumbnail=_draw(posture, dark=False),
        )
        for tranche, split, posture in sides
    )
    return NearDuplicate((one, other), number % 4)


def _tally(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _validation() -> Validation:
    return Validation(
        passed=True,
        findings=[
            Finding(severity="warning", sentence="31 rows have a posture but no person in them.")
        ],
        schema=[
            SchemaRow("primary_posture", "string: Sitting, Standing, …", "string"),
            SchemaRow("clip", "string", "string"),
            SchemaRow("camera", "", "string"),
        ],
        drift=[TrancheDistance(("1", "2"), 0.061, 0.3), TrancheDistance(("2", "3"), 0.352, 0.3)],
    )


def _training() -> Training:
    epochs = []
    for number in range(1, 15):
        phase = "Head" if number <= 6 else "Open layers"
        loss = 1.1 * 0.82**number
        wobble = 0.04 * (number % 3)
        epochs.append(
            Epoch(phase, number, loss, 1 - loss / 3, loss + 0.1 + wobble, 0.95 - loss / 3)
        )
    return Training(
        phases=[
            PhaseSummary("Head", 6, 10, 1e-3, 6),
            PhaseSummary("Open layers", 8, 20, 1e-5, 12),
        ],
        epochs=epochs,
        class_weights={"Sitting": 0.81, "Standing": 1.12, "Lying": 1.14},
        images=2862,
        seconds=512.9,
        cached=False,
    )


def _metrics(part: Slice) -> SliceMetrics:
    return SliceMetrics(
        example_count=part.count,
        accuracy=part.accuracy,
        accuracy_low=part.low,
        accuracy_high=part.high,
        coverage=part.coverage,
        selective_accuracy=part.selective_accuracy,
    )


def _record(overall: Slice, tranches: list[Slice], **fields: Any) -> Record:
    metrics = {"overall": _metrics(overall)} | {
        f"tranche={part.values[0]}": _metrics(part) for part in tranches
    }
    defaults: dict[str, Any] = {
        "verdict": "pushed",
        "demo": False,
        "reasons": [],
        "gates": [],
        "findings": [
            {"severity": "warning", "sentence": f"Postures differ between tranches 1 and {other}."}
            for other in range(2, 7)
        ],
        "model": 51,
        "accuracy": overall.accuracy,
        "metrics": metrics,
        "counts": Counts(),
        "components": [],
        "seconds": 1.0,
        "paths": {},
    }
    return Record(**defaults | fields)


def _history(overall: Slice, tranches: list[Slice], this: Record) -> list[Record]:
    runs = []
    for number in range(5):
        started = datetime(2026, 6, 1, 9, 30) + timedelta(days=31 * number)
        lower = 0.02 * (5 - number)
        runs.append(
            _record(
                replace(overall, accuracy=overall.accuracy - lower),
                [replace(part, accuracy=part.accuracy - lower) for part in tranches],
                run_id=f"{started:%Y-%m-%dT%H%M%S}-00{number}",
                started=f"{started.isoformat()}+00:00",
                verdict={1: "superseded", 3: "superseded"}.get(number, "not_blessed"),
                model=10 * number + 1,
            )
        )
    runs[2] = runs[2].model_copy(
        update={"verdict": "invalid_data", "accuracy": None, "metrics": {}, "model": None}
    )
    return [*runs, this]


def _lineage() -> Provenance:
    return Provenance(
        artifacts=[
            MadeArtifact(
                "TrancheExampleGen",
                "cached",
                "examples",
                "Examples",
                3,
                "artifacts/TrancheExampleGen/examples/3",
            ),
            MadeArtifact("Trainer", "ran", "model", "Model", 51, "artifacts/Trainer/model/51"),
        ],
        digests={"TFRecords of tranche 1": "9f" * 32, "code of the Trainer": "c4" * 32},
        versions={"Python": "3.11.9", "tensorflow": "2.16.2", "tfx": "1.16.0"},
        settings={"selection": "single_person", "fit": "letterbox", "accuracy_floor": 0.87},
        commands=["make run DATA=tranches OUT=output", "lookdeep review 2026-11-23T140507-4f1c"],
    )


CARD: Final = """\
# Model card: LookDeep posture

## Intended use

Says whether **one person** in a room is sitting, standing or lying. Not a medical device.

## Figures

| Slice | Images | Accuracy | 95 % interval | Macro F1 | Calibration error |
|---|--:|--:|---|--:|--:|
| All test images | 476 | 94.3 % | 91.9 to 96.1 % | 0.939 | 0.033 |

## Limits

- Pictures of several people
- Near-infrared cameras that are not in the data
"""
