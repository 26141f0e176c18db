"""ValidationGate: stops a run before training if the data break the contract.

ExampleValidator only reports anomalies. This component reads them and the statistics by tranche,
says in sentences what is wrong, and publishes a verdict that the rest of the pipeline depends
on.
"""

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeAlias

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.artifact import Artifact, Property, PropertyType
from tfx.utils import io_utils

from components.examples import near_duplicates, parquet
from components.examples.findings import Finding
from components.examples.image_table import Images
from schema import features

FINDINGS_FILE: Final = "findings.json"
DRIFT_FILE: Final = "drift.json"
_PREFIX: Final = f"{features.TRANCHE}_"  # of TFDV's names for the statistics of tranches

Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatisticsList


class ValidationVerdict(Artifact):
    """The gate's verdict: `passed` is 1 or 0; findings.json has the reasons."""

    TYPE_NAME = "ValidationVerdict"
    PROPERTIES = {"passed": Property(type=PropertyType.INT)}  # noqa: RUF012 (TFX's own form)


@dataclass(frozen=True)
class Drift:
    """The distance between the posture distributions of two tranches, and how large it may be."""

    tranches: tuple[str, str]
    distance: float  # L-infinity, 0 to 1
    threshold: float


def schema_findings(split: str, anomalies: anomalies_pb2.Anomalies) -> list[Finding]:
    """Converts TFDV's anomalies of a split to findings.

    Args:
      split: name of the split.
      anomalies: what ExampleValidator found there.

    Returns:
      A finding for each reason; anomalies of severity ERROR block.
    """
    findings = []
    for column, info in sorted(anomalies.anomaly_info.items()):
        blocking = info.severity == anomalies_pb2.AnomalyInfo.ERROR
        for reason in info.reason:
            what = reason.description or reason.short_description
            findings.append(
                Finding(
                    "blocking" if blocking else "warning",
                    f"Column {column} in split {split}: {what.rstrip('.')}. "
                    "Correct the label table, or extend schema/schema.pbtxt if the value is"
                    " intended.",
                )
            )
    return findings


@dataclass(frozen=True)
class Part:
    """What a split holds of a tranche.

    Attributes:
      clips: number of clips; no other split has one of them.
      postures: images by posture.
    """

    clips: int
    postures: Counter[str]

    def __add__(self, other: "Part") -> "Part":
        return Part(self.clips + other.clips, self.postures + other.postures)


# By split and tranche; a tranche is in no split that has no image of it.
Parts: TypeAlias = Mapping[str, Mapping[str, Part]]
_NOTHING: Final = Part(0, Counter())


def parts(statistics: Statistics) -> dict[str, Part]:
    """Counts what there is of each tranche in a split.

    Args:
      statistics: TFDV statistics with slices `tranche_NAME` beside the whole.

    Returns:
      The parts by tranche.
    """
    return {
        _tranche(dataset): Part(
            clips=_strings(dataset, features.CLIP).unique,
            postures=Counter(
                {
                    bucket.label: int(bucket.sample_count)
                    for bucket in _strings(dataset, features.POSTURE).rank_histogram.buckets
                }
            ),
        )
        for dataset in _slices(statistics)
    }


def _slices(statistics: Statistics) -> list[statistics_pb2.DatasetFeatureStatistics]:
    """The statistics of each tranche; those of an empty split have one dataset, without a name."""
    named = (each for each in statistics.datasets if each.name.startswith(_PREFIX))
    return sorted(named, key=lambda dataset: features.tranche_order(_tranche(dataset)))


def _tranche(dataset: statistics_pb2.DatasetFeatureStatistics) -> str:
    return dataset.name.removeprefix(_PREFIX)


def _strings(
    dataset: statistics_pb2.DatasetFeatureStatistics, column: str
) -> statistics_pb2.StringStatistics:
    found = (each for each in dataset.features if list(each.path.step) == [column])
    return next((each.string_stats for each in found), statistics_pb2.StringStatistics())


def split_findings(splits: Parts) -> list[Finding]:
    """Finds the splits without images of some posture.

    Args:
      splits: the parts of train, eval and test.

    Returns:
      A blocking finding for each such split.
    """
    findings = []
    for split, tranches in splits.items():
        present = sum(tranches.values(), _NOTHING).postures
        missing = [posture for posture in features.POSTURES if not present[posture]]
        if missing:
            which = " or ".join(missing) if present else "labelled"
            verb = "trained" if split == features.TRAIN else "judged"
            findings.append(
                Finding(
                    "blocking",
                    f"Split {split} has no {which} image, so the model cannot be {verb} on that:"
                    " add clips, or change the shares of the splits.",
                )
            )
    return findings


# What it means that a split has nothing of a tranche; the worst first.
_WITHOUT: Final = {
    features.TEST: "its accuracy is not checked",
    features.TRAIN: "the model learns nothing from it and its label drift is not measured",
    features.EVAL: "early stopping and calibration do not regard it",
}


def tranche_findings(
    splits: Parts, unselected: Iterable[str], untested: str, missing_posture_floor: float
) -> list[Finding]:
    """Finds the tranches that are absent from a split, or lack a posture.

    Args:
      splits: the parts of train, eval and test.
      unselected: the tranches with images outside the selection.
      untested: `refuse` or `warn`: what becomes of a tranche that has no test image.
      missing_posture_floor: a tranche without a posture is refused if that is less probable, by
        chance, than this.

    Returns:
      The findings, the worst kind first, each kind by tranche.
    """
    whole: dict[str, Part] = {}
    for tranches in splits.values():
        for name, part in tranches.items():
            whole[name] = whole.get(name, _NOTHING) + part
    names = sorted(whole, key=features.tranche_order)
    findings = [
        _untested(
            untested,
            f"Tranche {name} has no image in the selection, so nothing is learnt from it and"
            f" {_WITHOUT[features.TEST]}. Check its label table and the setting selection",
        )
        for name in sorted({*unselected} - {*whole}, key=features.tranche_order)
    ]
    for split, consequence in _WITHOUT.items():
        for name in names:
            if name not in splits[split]:
                sentence = (
                    f"Tranche {name} has no image in split {split}, so {consequence}. Label more"
                    " clips of it, or enlarge the share of the split"
                )
                test = split == features.TEST
                findings.append(
                    _untested(untested, sentence) if test else Finding("warning", f"{sentence}.")
                )
    for name in names:
        others = sum((part for other, part in whole.items() if other != name), _NOTHING)
        findings += _missing_postures(name, whole[name], others, missing_posture_floor)
    for posture in features.POSTURES:
        lacking = [
            name
            for name, part in splits[features.TEST].items()
            if whole[name].postures[posture] and not part.postures[posture]
        ]
        if lacking:
            which = ", ".join(sorted(lacking, key=features.tranche_order))
            findings.append(
                Finding(
                    "warning",
                    f"Split test has no {posture} image of tranche{'s' if len(lacking) > 1 else ''}"
                    f" {which}, although other splits have: accuracy there says nothing about that"
                    " posture.",
                )
            )
    return findings


def _untested(untested: str, sentence: str) -> Finding:
    if untested == "refuse":
        return Finding("blocking", f'{sentence}; untested_tranches = "warn" lets the run go on.')
    return Finding("warning", f'{sentence}; untested_tranches = "refuse" would stop the run.')


def _missing_postures(name: str, part: Part, others: Part, floor: float) -> Iterator[Finding]:
    """Judges that a tranche lacks postures by how probable that is.

    Frames of a clip mostly show one posture. So if the tranche were like the others, the
    probability would be (1 - the posture's share in the others) to the power of its clips.
    """
    clips = f"{part.clips:,} clip{'' if part.clips == 1 else 's'}"
    for posture in features.POSTURES:
        share = others.postures[posture] / max(1, others.postures.total())
        if part.postures[posture] or not share:  # if nobody has it, the splits lack it
            continue
        chance = (1.0 - share) ** part.clips
        lacks = f"Tranche {name} has no {posture} image in the selection"
        if chance < floor:
            yield Finding(
                "blocking",
                f"{lacks}, but {share * 100:.0f} % of the other tranches' images are {posture}: for"
                f" its {clips}, that has a probability of {chance:.0e}. Check its label table"
                " before a model learns from it; if it is right, set missing_posture_floor = 0.",
            )
        else:
            yield Finding(
                "warning",
                f"{lacks}, where it has {clips}. If its label table is right, there is nothing to"
                " do.",
            )


def label_drift(statistics: Statistics, schema: schema_pb2.Schema, threshold: float) -> list[Drift]:
    """Compares each tranche's posture distribution with the other tranches' by TFDV.

    Args:
      statistics: statistics of one split with slices by tranche.
      schema: the curated schema.
      threshold: largest L-infinity distance between two tranches, 0 to 1.

    Returns:
      The distance of each pair, earlier tranche first.
    """
    compared = schema_pb2.Schema()
    compared.CopyFrom(schema)
    posture = tfdv.get_feature(compared, features.POSTURE)
    posture.drift_comparator.infinity_norm.threshold = threshold
    drift = []
    for earlier, later in itertools.combinations(_slices(statistics), 2):
        anomalies = tfdv.validate_statistics(
            statistics_pb2.DatasetFeatureStatisticsList(datasets=[later]),
            compared,
            previous_statistics=statistics_pb2.DatasetFeatureStatisticsList(datasets=[earlier]),
        )
        drift += [
            Drift((_tranche(earlier), _tranche(later)), measurement.value, measurement.threshold)
            for info in anomalies.drift_skew_info
            for measurement in info.drift_measurements
        ]
    return drift


def drift_findings(drift: Iterable[Drift]) -> list[Finding]:
    """Warns of each pair of tranches that is further apart than allowed."""
    return [
        Finding(
            "warning",
            f"Postures differ between tranches {pair.tranches[0]} and {pair.tranches[1]}: "
            f"the L-infinity distance is {pair.distance:.2f}, above {pair.threshold:.2f}.",
        )
        for pair in drift
        if pair.distance > pair.threshold
    ]


@component
def ValidationGate(
    statistics: InputArtifact[standard_artifacts.ExampleStatistics],
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    images: InputArtifact[Images],
    schema: InputArtifact[standard_artifacts.Schema],
    verdict: OutputArtifact[ValidationVerdict],
    max_label_drift: Parameter[float],
    untested_tranches: Parameter[str],
    missing_posture_floor: Parameter[float],
    code_digest: Parameter[str],
) -> None:
    """Publishes whether a model may be trained on the data, and why not.

    Args:
      statistics: statistics of every split, sliced by tranche.
      anomalies: ExampleValidator's anomalies of every split.
      images: the ImageTable of every split.
      schema: the curated schema.
      verdict: the verdict, with findings.json and drift.json.
      max_label_drift: largest L-infinity distance between the postures of two tranches
        without a warning.
      untested_tranches: see `tranche_findings`.
      missing_posture_floor: see `tranche_findings`.
      code_digest: digest of this module; part of the cache key.
    """
    contract = io_utils.SchemaReader().read(os.path.join(schema.uri, "schema.pbtxt"))
    findings: list[Finding] = []
    for split in artifact_utils.decode_split_names(anomalies.split_names):
        uri = artifact_utils.get_split_uri([anomalies], split)
        with open(os.path.join(uri, "SchemaDiff.pb"), "rb") as file:
            findings += schema_findings(split, anomalies_pb2.Anomalies.FromString(file.read()))
    splits = {
        split: tfdv.load_stats_binary(
            os.path.join(artifact_utils.get_split_uri([statistics], split), "FeatureStats.pb")
        )
        for split in (features.TRAIN, features.EVAL, features.TEST, features.UNSELECTED)
    }
    found = {split: parts(each) for split, each in splits.items()}
    unselected = found.pop(features.UNSELECTED)
    findings += split_findings(found)
    findings += tranche_findings(found, unselected, untested_tranches, missing_posture_floor)
    drift = label_drift(splits[features.TRAIN], contract, max_label_drift)
    findings += drift_findings(drift)
    findings += near_duplicates.copy_findings(parquet.read(Path(images.uri), parquet.IMAGES))
    verdict.passed = int(not any(finding.severity == "blocking" for finding in findings))
    with open(os.path.join(verdict.uri, FINDINGS_FILE), "w", encoding="utf-8") as report:
        json.dump([asdict(finding) for finding in findings], report, indent=2)
    with open(os.path.join(verdict.uri, DRIFT_FILE), "w", encoding="utf-8") as report:
        json.dump([asdict(pair) for pair in drift], report, indent=2)
