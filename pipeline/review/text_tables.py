"""The plain tables of a review page, as text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.review import formats
from pipeline.review.contents import Data, Lineage, Review, Training, Validation
from pipeline.runs.record import Record
from pipeline.runs.run import REVIEW
from schema import features

# What was measured on the images, with units.
_MEASURES: Final = {
    features.WIDTH: "Width (pixels)",
    features.HEIGHT: "Height (pixels)",
    features.BRIGHTNESS: "Brightness (mean luma, 0 to 255)",
    features.CONTRAST: "Contrast (standard deviation of luma)",
    features.SHARPNESS: "Sharpness (variance of the Laplacian)",
    features.SATURATION: "Saturation (mean, 0 to 255)",
}
# Label values that tell nothing.
NOT_TOLD: Final = (features.UNKNOWN_POSTURE, features.UNKNOWN_OCCLUSION, features.BLANK)

_LONGEST: Final = 200  # characters of a schema's description


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row is its heading.

    Attributes:
      caption: what it holds.
      columns: the headings.
      rows: the cells, formatted, as many as there are columns.
      numbers: the columns of figures, counted from 0.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()


def draw(review: Review) -> dict[str, Table]:
    """The tables that the review has rows for, by key."""
    tables = {"stages": _stages(review)}
    if review.data:
        tables |= _data(review.data)
    if review.validation:
        tables |= _validation(review.validation)
    if review.training:
        tables |= _training(review.training)
    tables["history"] = _history(review.history, review.run.run_id)
    if review.lineage:
        tables |= _lineage(review.lineage)
    return {key: table for key, table in tables.items() if table.rows}


def column_title(column: str) -> str:
    """A heading for a column or a measure; the column's own name if there is none."""
    if column in features.COLUMN_TITLES:
        return features.COLUMN_TITLES[column].capitalize()
    return _MEASURES.get(column, column)


def _stages(review: Review) -> Table:
    return Table(
        "Steps of the run, how they ended, and their time",
        ["Step", "Ended", "Time"],
        [
            [stage.name, stage.state, formats.duration(stage.seconds)]
            for stage in review.run.components
            if stage.name != REVIEW
        ],
        [2],
    )


def _data(data: Data) -> dict[str, Table]:
    return {
        "splits": Table(
            "Images and clips by split",
            ["Split", "Images", "Clips"],
            [
                [split, formats.count(images), formats.count(data.clips_by_split.get(split, 0))]
                for split, images in data.splits.items()
            ],
            [1, 2],
        ),
        "not-told": _not_told(data.labels),
        "contradictions": Table(
            "Contradictions; the rows stay in the data",
            ["What", "Rows", "For example"],
            [
                [found.kind, formats.count(found.count), ", ".join(found.examples)]
                for found in data.contradictions
            ],
            [1],
        ),
        "duplicates": Table(
            "Near-duplicates, those across splits first",
            ["Image", "Looks like", "Clips", "Tranches", "Splits", "Differing bits", "Matters"],
            [
                [
                    *pair.file_names,
                    _both(pair.clips),
                    _both(pair.tranches),
                    _both(pair.splits),
                    formats.count(pair.distance),
                    "✗ Crosses splits" if pair.crosses_splits else "No",
                ]
                for pair in data.duplicates
            ],
            [5],
        ),
        "rejects": Table(
            "Images and rows that are not in the data",
            ["Reason", "Tranche", "Count", "For example"],
            [
                [reject.reason, reject.tranche, formats.count(reject.count), reject.example]
                for reject in data.rejects
            ],
            [2],
        ),
    }


def _not_told(labels: dict[str, dict[str, dict[str, int]]]) -> Table:
    tranches = list(dict.fromkeys(tranche for tallies in labels.values() for tranche in tallies))
    rows = []
    for column, tallies in labels.items():
        for value in NOT_TOLD:
            counts = [tallies.get(tranche, {}).get(value, 0) for tranche in tranches]
            if any(counts):
                numbers = [formats.count(number) for number in (*counts, sum(counts))]
                rows.append([column_title(column), value, *numbers])
    return Table(
        "Images whose label is unknown or blank",
        ["Column", "Value", *(f"Tranche {tranche}" for tranche in tranches), "All"],
        rows,
        range(2, len(tranches) + 3),
    )


def _validation(validation: Validation) -> dict[str, Table]:
    return {
        "drift": Table(
            "Drift of the postures: the largest difference of a posture's share, 0 to 1",
            ["Tranches", "Distance", "Threshold", "Verdict"],
            [
                [
                    " and ".join(drift.tranches),
                    formats.decimal(drift.distance),
                    formats.decimal(drift.threshold),
                    "✗ Beyond" if drift.distance > drift.threshold else "✓ Within",
                ]
                for drift in validation.drift
            ],
            [1, 2],
        ),
        "schema": Table(
            "The curated schema, and the schema that the data itself suggests",
            ["Column", "Curated", "Inferred", "Comparison"],
            [
                [
                    row.column,
                    _shortened(row.curated or "not there"),
                    _shortened(row.inferred or "not there"),
                    "≠ Differs" if row.differs else "Same",
                ]
                for row in validation.schema
            ],
        ),
    }


def _training(training: Training) -> dict[str, Table]:
    return {
        "phases": Table(
            "Phases of the training",
            ["Phase", "Epochs", "At most", "Stopped early", "Highest rate", "Weights of epoch"],
            [
                [
                    phase.name,
                    formats.count(phase.epochs),
                    formats.count(phase.most_epochs),
                    "Yes" if phase.epochs < phase.most_epochs else "No",
                    formats.rate(phase.learning_rate),
                    formats.count(phase.kept_epoch),
                ]
                for phase in training.phases
            ],
            [1, 2, 4, 5],
        ),
        "class-weights": Table(
            "Weights of the classes in the loss",
            ["Posture", "Weight"],
            [
                [posture, formats.decimal(weight, 2)]
                for posture, weight in (training.class_weights or {}).items()
            ],
            [1],
        ),
    }


def _history(history: Sequence[Record], this: str) -> Table:
    tranches = sorted(
        {tranche for run in history for tranche in run.by_tranche}, key=features.tranche_order
    )
    columns = ["Started", "Run", "Verdict", "Model", "Test images", "Accuracy"]
    columns += [f"Tranche {tranche}" for tranche in tranches]
    return Table(
        "Runs of this output folder, oldest first",
        columns,
        [
            [
                formats.stamp(run.started),
                f"{run.run_id} (this run)" if run.run_id == this else run.run_id,
                run.verdict.replace("_", " "),
                formats.ABSENT if run.model is None else str(run.model),
                formats.count(run.metrics["overall"].example_count if run.metrics else 0),
                formats.percent(run.accuracy),
                *(
                    formats.percent(
                        run.by_tranche[tranche].accuracy if tranche in run.by_tranche else None
                    )
                    for tranche in tranches
                ),
            ]
            for run in history
        ],
        range(4, len(columns)),
    )


def _lineage(lineage: Lineage) -> dict[str, Table]:
    return {
        "artifacts": Table(
            "Artifacts of the run in ML Metadata",
            ["Component", "State", "Output", "Type", "Number", "Path"],
            [
                [row.component, row.state, row.output, row.type, str(row.artifact_id), row.path]
                for row in lineage.artifacts
            ],
            [4],
        ),
        "digests": Table("SHA-256 of data and code", ["Of", "SHA-256"], _pairs(lineage.digests)),
        "versions": Table("Versions", ["Package", "Version"], _pairs(lineage.versions)),
        "settings": Table("Settings of the run", ["Setting", "Value"], _pairs(lineage.settings)),
    }


def _shortened(text: str) -> str:
    """The start of a text; a schema may hold as many values as there are images."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _pairs(values: Mapping[str, object]) -> list[list[str]]:
    return [[key, str(value)] for key, value in values.items()]


def _both(values: Iterable[str]) -> str:
    """Of a pair: once if they are the same."""
    return " / ".join(dict.fromkeys(values))
