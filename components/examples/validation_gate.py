"""ValidationGate: stops a run before training if the data break the contract.

ExampleValidator only reports anomalies. This component reads them and the statistics by tranche,
says in sentences what is wrong, and publishes a verdict that the rest of the pipeline depends
on.
"""

import itertools
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Final, TypeAlias

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.artifact import Artifact, Property, PropertyType
from tfx.utils import io_utils

from components.examples.findings import Finding
from schema import features

FINDINGS_FILE: Final = "findings.json"
DRIFT_FILE: Final = "drift.json"
OVERALL: Final = "All Examples"  # TFDV's name for the statistics of the whole split

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


def counts_by_tranche(statistics: Iterable[Statistics]) -> dict[str, dict[str, int]]:
    """Counts postures in each tranche over several splits.

    Args:
      statistics: TFDV statistics with slices `tranche_NAME` beside the whole.

    Returns:
      Examples by tranche and posture.
    """
    counts: dict[str, dict[str, int]] = {}
    for split in statistics:
        for dataset in split.datasets:
            if dataset.name == OVERALL:
                continue
            tranche = dataset.name.removeprefix(f"{features.TRANCHE}_")
            postures = counts.setdefault(tranche, {})
            for posture, count in _value_counts(dataset, features.POSTURE).items():
                postures[posture] = postures.get(posture, 0) + count
    return counts


def _value_counts(dataset: statistics_pb2.DatasetFeatureStatistics, column: str) -> dict[str, int]:
    for feature in dataset.features:
        if list(feature.path.step) == [column]:
            buckets = feature.string_stats.rank_histogram.buckets
            return {bucket.label: int(bucket.sample_count) for bucket in buckets}
    return {}


def class_findings(
    splits: Mapping[str, Statistics], tranches: Mapping[str, Mapping[str, int]]
) -> list[Finding]:
    """Finds splits and tranches without images of one of the classes.

    Args:
      splits: statistics of train, eval and test.
      tranches: `counts_by_tranche` of the same splits.

    Returns:
      A blocking finding for each missing class.
    """
    findings = []
    for name, statistics in splits.items():
        whole = next((d for d in statistics.datasets if d.name == OVERALL), None)
        present = _value_counts(whole, features.POSTURE) if whole else {}
        findings += [
            Finding(
                "blocking",
                f"Split {name} has no {posture} image, so the model cannot be "
                f"{'trained' if name == features.TRAIN else 'judged'} on that posture: "
                "add clips with it, or change the shares of the splits.",
            )
            for posture in features.POSTURES
            if not present.get(posture)
        ]
    for tranche in sorted(tranches, key=features.tranche_order):
        findings += [
            Finding(
                "blocking",
                f"Tranche {tranche} has no {posture} image in the selection: "
                "check its label table before a model learns from it.",
            )
            for posture in features.POSTURES
            if not tranches[tranche].get(posture)
        ]
    return findings


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
    slices = sorted(
        (dataset for dataset in statistics.datasets if dataset.name != OVERALL),
        key=lambda dataset: features.tranche_order(dataset.name),
    )
    drift = []
    for earlier, later in itertools.combinations(slices, 2):
        anomalies = tfdv.validate_statistics(
            statistics_pb2.DatasetFeatureStatisticsList(datasets=[later]),
            compared,
            previous_statistics=statistics_pb2.DatasetFeatureStatisticsList(datasets=[earlier]),
        )
        first, second = (
            dataset.name.removeprefix(f"{features.TRANCHE}_") for dataset in (earlier, later)
        )
        drift += [
            Drift((first, second), measurement.value, measurement.threshold)
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
    schema: InputArtifact[standard_artifacts.Schema],
    verdict: OutputArtifact[ValidationVerdict],
    max_label_drift: Parameter[float],
    code_digest: Parameter[str],
) -> None:
    """Publishes whether a model may be trained on the data, and why not.

    Args:
      statistics: statistics of every split, sliced by tranche.
      anomalies: ExampleValidator's anomalies of every split.
      schema: the curated schema.
      verdict: the verdict, with findings.json and drift.json.
      max_label_drift: largest L-infinity distance between the postures of two tranches
        without a warning.
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
        for split in (features.TRAIN, features.EVAL, features.TEST)
    }
    findings += class_findings(splits, counts_by_tranche(splits.values()))
    drift = label_drift(splits[features.TRAIN], contract, max_label_drift)
    findings += drift_findings(drift)
    verdict.passed = int(not any(finding.severity == "blocking" for finding in findings))
    with open(os.path.join(verdict.uri, FINDINGS_FILE), "w", encoding="utf-8") as report:
        json.dump([asdict(finding) for finding in findings], report, indent=2)
    with open(os.path.join(verdict.uri, DRIFT_FILE), "w", encoding="utf-8") as report:
        json.dump([asdict(pair) for pair in drift], report, indent=2)
