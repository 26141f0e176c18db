"""The data that a model comes from, section by section, without the name of any image or clip."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pipeline.dossier.templates import one_line
from pipeline.review import formats
from pipeline.review.contents import Review
from pipeline.review.data_summary import Data
from pipeline.review.section import Table
from pipeline.runs.run import Run

_LABELS: Final = "Images by label and tranche; a blank label counts as a value."


@dataclass(frozen=True)
class Section:
    """A section of data_provenance.md; either text or table may be missing."""

    heading: str
    text: str = ""
    table: Table | None = None


def sections(run: Run, review: Review) -> list[Section]:
    """Where the data come from, what became of them, and what was made of them."""
    found = [
        Section(
            "Tranches",
            "SHA-256 of what the TFRecords of each tranche were made from.",
            Table(
                "", ["Tranche", "SHA-256"], list(map(list, run.snapshot.tranche_digests.items()))
            ),
        ),
        Section("What is not in the data", _counted(run), _rejects(run)),
        Section("Contradicting labels", "They stay in the data.", _contradictions(run)),
    ]
    found += _of_data(review.data) if review.data else []
    if review.validation:
        drift = review.validation.tables()["drift"]
        told = "\n".join(
            f"- {each.severity}: {one_line(each.sentence)}" for each in review.validation.findings
        )
        found.append(Section("Checks before training", f"{told}\n\n{drift.caption}.", drift))
    if review.training:
        told = f"{formats.count(review.training.images)} images in one epoch."
        found.append(Section("Training", told, review.training.tables()["phases"]))
    if review.lineage:
        tables = review.lineage.tables()
        found += [
            Section(heading, "", tables[heading.lower()])
            for heading in ("Digests", "Versions", "Settings", "Artifacts")
        ]
        commands = "\n".join(f"    {command}" for command in review.lineage.commands)
        found.append(Section("How to reproduce it", commands))
    return found


def _of_data(data: Data) -> Iterator[Section]:
    tables = data.tables()
    yield Section(
        "Splits",
        "By a hash of the clip's name: all frames of a clip are in one split, and a clip keeps its"
        " split when tranches are added. `unselected` is outside the selection of the settings, and"
        " is neither trained on nor tested.",
        tables["splits"],
    )
    yield Section("Labels", _LABELS, _labels(data))
    yield Section("Images", "Median of the images of a tranche.", _measures(data))
    crossing, every = data.duplicates_across_splits, len(data.duplicates)
    more = " or more" if data.more_duplicates else ""
    yield Section(
        "Near-duplicates",
        f"{every}{more} pairs of clips look alike; {crossing}{more} of them are in different"
        " splits. If those are copies, and not one room before a fixed camera, the figures are too"
        " high.",
    )


def _counted(run: Run) -> str:
    counts = run.counts
    return (
        f"{formats.count(counts.rows)} rows of the label tables, {formats.count(counts.images)}"
        f" images in the TFRecords, {formats.count(counts.rejected)} rows and files rejected."
    )


def _rejects(run: Run) -> Table:
    rows = [[each.reason, each.tranche, formats.count(each.count)] for each in run.snapshot.rejects]
    return Table("", ["Reason", "Tranche", "Count"], rows, [2])


def _contradictions(run: Run) -> Table:
    rows = [[each.kind, formats.count(each.count)] for each in run.snapshot.contradictions]
    return Table("", ["Contradiction", "Rows"], rows, [1])


def _labels(data: Data) -> Table:
    tranches = list(dict.fromkeys(name for tallies in data.labels.values() for name in tallies))
    rows = []
    for column, tallies in data.labels.items():
        for value in dict.fromkeys(value for tally in tallies.values() for value in tally):
            counts = [tallies.get(tranche, {}).get(value, 0) for tranche in tranches]
            rows.append([formats.column(column), value, *map(formats.count, counts)])
    columns = ["Column", "Value", *(f"Tranche {name}" for name in tranches)]
    return Table("", columns, rows, range(2, len(columns)))


def _measures(data: Data) -> Table:
    rows = [
        [formats.column(each.measure), each.tranche, formats.measure(each.median)]
        for each in data.measures
    ]
    return Table("", ["Measure", "Tranche", "Median"], rows, [2])
