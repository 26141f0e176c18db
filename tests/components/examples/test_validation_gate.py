"""The gate says what is wrong with the data, and only blocks where it must."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

import schema as schema_package
from components.examples import validation_gate as gate
from components.examples.findings import Finding
from pipeline.config import PipelineConfig
from schema import features

SPLITS = (features.TRAIN, features.EVAL, features.TEST)
FLOOR = PipelineConfig.model_fields["missing_posture_floor"].default
GOOD = [(name, posture) for name in ("1", "2") for posture in features.POSTURES for _ in range(10)]


def _statistics(rows: list[tuple[str, str]]) -> gate.Statistics:
    """Statistics as StatisticsGen writes them of images of a clip each: the whole, and tranches."""
    frame = pd.DataFrame(rows, columns=[features.TRANCHE, features.POSTURE])
    frame[features.CLIP] = [f"clip {index}" for index in range(len(rows))]
    result = statistics_pb2.DatasetFeatureStatisticsList()
    parts = [("All Examples", frame)] + [
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


def _part(clips: int = 30, **postures: int) -> gate.Part:
    """Clips and images by posture; as many of each if none is given."""
    return gate.Part(clips, Counter(postures or dict.fromkeys(features.POSTURES, clips)))


def _splits(**tranches: gate.Part) -> dict[str, dict[str, gate.Part]]:
    """Every split has the same of each tranche `t1`, `t2`, ..."""
    return {split: {name[1:]: part for name, part in tranches.items()} for split in SPLITS}


def _judged(
    splits: gate.Parts, unselected: Iterable[str] = (), untested: str = "warn", floor: float = FLOOR
) -> list[Finding]:
    return gate.tranche_findings(splits, unselected, untested, floor)


def test_good_data_has_no_finding() -> None:
    statistics = _statistics(GOOD)
    found = gate.parts(statistics)
    assert found == dict.fromkeys(("1", "2"), gate.Part(30, Counter(10 * features.POSTURES)))
    splits = dict.fromkeys(SPLITS, found)
    assert gate.split_findings(splits) == [] == _judged(splits, found)
    drift = gate.label_drift(statistics, _schema(statistics), 0.3)
    assert drift and gate.drift_findings(drift) == []


def test_a_large_tranche_without_a_posture_blocks_and_says_what_to_do_if_it_is_right() -> None:
    (finding,) = _judged(_splits(t1=_part(), t2=_part(20, Sitting=20, Standing=20)))
    assert finding.severity == "blocking"
    assert finding.sentence.startswith("Tranche 2 has no Lying image in the selection, but 33 %")
    assert "60 clips" in finding.sentence and "missing_posture_floor = 0" in finding.sentence


@pytest.mark.parametrize("clips", [1, 2, 5])
@pytest.mark.parametrize("posture", features.POSTURES)
def test_a_small_tranche_without_a_posture_is_a_warning(clips: int, posture: str) -> None:
    others = [name for name in features.POSTURES if name != posture]
    small = _part(clips, **dict.fromkeys(others, clips))
    (finding,) = _judged(_splits(t1=_part(), t2=small))
    assert finding.severity == "warning"
    assert f"Tranche 2 has no {posture} image" in finding.sentence
    assert "there is nothing to do" in finding.sentence


@given(clips=st.integers(1, 300), share=st.integers(1, 99), floor=st.floats(0, 1))
def test_a_missing_posture_blocks_where_it_is_less_probable_than_the_floor(
    clips: int, share: int, floor: float
) -> None:
    others = _part(100, Sitting=99 - share, Standing=1, Lying=share)
    lacking = _part(clips, Sitting=clips, Standing=clips)
    (finding,) = _judged(_splits(t1=others, t2=lacking), floor=floor)[-1:]
    improbable = (1 - share / 100) ** (3 * clips) < floor
    assert "Tranche 2 has no Lying" in finding.sentence
    assert finding.severity == ("blocking" if improbable else "warning")


TRANCHES = ("1", "2", "2b", "10")


@given(
    absent=st.sets(st.tuples(st.sampled_from(SPLITS), st.sampled_from(TRANCHES))),
    untested=st.sampled_from(["warn", "refuse"]),
)
def test_a_tranche_that_is_absent_from_a_split_is_named(
    absent: set[tuple[str, str]], untested: str
) -> None:
    splits = {
        split: {name: _part() for name in TRANCHES if (split, name) not in absent}
        for split in SPLITS
    }
    found = _judged(splits, TRANCHES, untested)
    nowhere = [name for name in TRANCHES if all((split, name) in absent for split in SPLITS)]
    named = [
        (split, name)
        for name in TRANCHES
        for split in SPLITS
        if (split, name) in absent and name not in nowhere
    ]
    sentences = [each.sentence for each in found]
    for split, name in named:
        (words,) = [
            each for each in sentences if f"Tranche {name} has no image in split {split}," in each
        ]
        assert ("untested_tranches" in words) == (split == features.TEST)
    for name in nowhere:
        (words,) = [each for each in sentences if f"Tranche {name} has no image in the sel" in each]
        assert "its accuracy is not checked" in words and "untested_tranches" in words
    assert len(found) == len(named) + len(nowhere)
    untested_ones = {name for name in TRANCHES if (features.TEST, name) in absent}
    blocking = [each for each in found if each.severity == "blocking"]
    assert len(blocking) == (len(untested_ones) if untested == "refuse" else 0)
    kinds = [each.partition(" has no image in ")[2].split(",")[0] for each in sentences]
    order = [(kind, each.split()[1]) for kind, each in zip(kinds, sentences, strict=True)]
    first = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
    assert order == sorted(
        order, key=lambda pair: (first[pair[0]], features.tranche_order(pair[1]))
    )


def test_a_posture_that_a_tranche_has_but_not_in_test_is_named() -> None:
    splits = _splits(t10=_part(), t1=_part(), t2=_part())
    splits[features.TEST] |= dict.fromkeys(("10", "2"), _part(3, Sitting=3, Standing=2))
    (finding,) = _judged(splits)
    assert finding.severity == "warning"
    assert finding.sentence.startswith("Split test has no Lying image of tranches 2, 10, although")


def test_split_without_a_class_blocks() -> None:
    splits = _splits(t1=_part(), t2=_part())
    splits[features.TEST] = {"1": _part(9, Sitting=9, Lying=9), "2": _part(1, Sitting=1)}
    (finding,) = gate.split_findings(splits)
    assert finding.severity == "blocking"
    assert finding.sentence.startswith("Split test has no Standing image, so the model cannot be j")


def test_an_empty_split_blocks() -> None:
    nothing = tfdv.generate_statistics_from_dataframe(pd.DataFrame({features.POSTURE: []}))
    nothing.datasets[0].name = ""  # as TFDV's slicing leaves it
    splits = {**_splits(t1=_part()), features.EVAL: gate.parts(nothing)}
    (finding,) = gate.split_findings(splits)
    assert finding.severity == "blocking"
    assert finding.sentence.startswith("Split eval has no labelled image")


def test_one_tranche_alone_has_no_others_to_be_compared_with() -> None:
    assert _judged(_splits(t1=_part(Sitting=9, clips=9))) == []


def test_label_drift_is_a_warning_with_its_distance() -> None:
    rows = GOOD + [("3", "Lying")] * 28 + [("3", "Sitting"), ("3", "Standing")]
    statistics = _statistics(rows)
    findings = gate.drift_findings(gate.label_drift(statistics, _schema(statistics), 0.3))
    assert [finding.severity for finding in findings] == ["warning", "warning"]
    assert "tranches 1 and 3" in findings[0].sentence
    assert "0.60, above 0.30" in findings[0].sentence


def test_drift_is_between_tranches_in_the_order_of_their_numbers() -> None:
    rows = [(tranche, posture) for tranche in ("1", "10", "2") for posture in ("Sitting", "Lying")]
    statistics = _statistics(rows)
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
