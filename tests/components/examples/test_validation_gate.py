"""The gate says what is wrong with the data, and only blocks where it must."""

from pathlib import Path

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

import schema as schema_package
from components.examples import validation_gate as gate
from schema import features

GOOD = [("1", posture) for posture in features.POSTURES for _ in range(10)] + [
    ("2", posture) for posture in features.POSTURES for _ in range(10)
]


def _statistics(rows: list[tuple[str, str]]) -> gate.Statistics:
    """Statistics as StatisticsGen writes them: the whole, and a slice for each tranche."""
    frame = pd.DataFrame(rows, columns=[features.TRANCHE, features.POSTURE])
    result = statistics_pb2.DatasetFeatureStatisticsList()
    parts = [(gate.OVERALL, frame)] + [
        (f"tranche_{name}", part) for name, part in frame.groupby(features.TRANCHE)
    ]
    for name, part in parts:
        dataset = tfdv.generate_statistics_from_dataframe(part).datasets[0]
        dataset.name = name
        result.datasets.append(dataset)
    return result


def _schema(statistics: gate.Statistics) -> schema_pb2.Schema:
    whole = statistics_pb2.DatasetFeatureStatisticsList(datasets=[statistics.datasets[0]])
    return tfdv.infer_schema(whole)


def test_good_data_has_no_finding() -> None:
    splits = dict.fromkeys((features.TRAIN, features.EVAL, features.TEST), _statistics(GOOD))
    counts = gate.counts_by_tranche(splits.values())
    assert counts == {name: dict.fromkeys(features.POSTURES, 30) for name in ("1", "2")}
    assert gate.class_findings(splits, counts) == []
    drift = gate.label_drift(splits[features.TRAIN], _schema(_statistics(GOOD)), 0.3)
    assert drift and gate.drift_findings(drift) == []


def test_tranche_without_a_class_blocks() -> None:
    rows = [row for row in GOOD if row != ("2", "Lying")]
    splits = dict.fromkeys((features.TRAIN, features.EVAL, features.TEST), _statistics(rows))
    findings = gate.class_findings(splits, gate.counts_by_tranche(splits.values()))
    assert [finding.severity for finding in findings] == ["blocking"]
    assert "Tranche 2 has no Lying image" in findings[0].sentence


def test_split_without_a_class_blocks() -> None:
    splits = {
        features.TRAIN: _statistics(GOOD),
        features.EVAL: _statistics(GOOD),
        features.TEST: _statistics([row for row in GOOD if row[1] != "Standing"]),
    }
    findings = gate.class_findings(splits, gate.counts_by_tranche(splits.values()))
    assert [finding.severity for finding in findings] == ["blocking"]
    assert "Split test has no Standing image" in findings[0].sentence


def test_empty_split_blocks() -> None:
    splits = {
        features.TRAIN: _statistics(GOOD),
        features.EVAL: statistics_pb2.DatasetFeatureStatisticsList(),
        features.TEST: _statistics(GOOD),
    }
    findings = gate.class_findings(splits, gate.counts_by_tranche(splits.values()))
    assert len(findings) == 3 and all("Split eval" in finding.sentence for finding in findings)


def test_label_drift_is_a_warning_with_its_distance() -> None:
    rows = GOOD + [("3", "Lying")] * 28 + [("3", "Sitting"), ("3", "Standing")]
    statistics = _statistics(rows)
    findings = gate.drift_findings(gate.label_drift(statistics, _schema(statistics), 0.3))
    assert [finding.severity for finding in findings] == ["warning", "warning"]
    assert "tranches 1 and 3" in findings[0].sentence
    assert "0.60, above 0.30" in findings[0].sentence


def test_tranches_are_named_in_the_order_of_their_numbers() -> None:
    rows = [(tranche, posture) for tranche in ("1", "10", "2") for posture in ("Sitting", "Lying")]
    statistics = _statistics(rows)
    findings = gate.class_findings({}, gate.counts_by_tranche([statistics]))
    assert [finding.sentence.split()[1] for finding in findings] == ["1", "2", "10"]
    drift = gate.label_drift(statistics, _schema(statistics), 0.3)
    assert [pair.tranches for pair in drift] == [("1", "2"), ("1", "10"), ("2", "10")]


@pytest.mark.parametrize("column", [features.POSTURE, features.OCCLUDED])
def test_value_outside_the_curated_schema_blocks(column: str) -> None:
    curated = tfdv.load_schema_text(str(Path(schema_package.__file__).with_name("schema.pbtxt")))
    frame = pd.DataFrame({column: ["Kneeling"] * 3})
    anomalies = tfdv.validate_statistics(tfdv.generate_statistics_from_dataframe(frame), curated)
    findings = gate.schema_findings("train", anomalies)
    own = [finding for finding in findings if f"Column {column} " in finding.sentence]
    assert own and own[0].severity == "blocking" and "Kneeling" in own[0].sentence
    missing = [finding for finding in findings if "Column clip " in finding.sentence]
    assert missing and missing[0].severity == "blocking"
