"""Runs StatisticsGen on Beam: figures over many batches are those over all at once."""

import json
from pathlib import Path

import numpy as np
import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.types import standard_artifacts

from components.examples.statistics_gen import BATCH_SIZE, StatisticsGen
from pipeline.beam import local_args
from schema import features
from tests.support.examples import Row, write_split

BRIGHTNESS = {
    features.TRAIN: np.arange(2 * BATCH_SIZE + 9, dtype=np.float64),
    features.EVAL: np.array([3.0, 5.0]),
    features.UNSELECTED: np.array([]),
}
TRANCHES = ("1", "2", "3")


def _row(number: int, brightness: float) -> Row:
    return {
        features.IMAGE: b"\xff\xd8%d" % number,
        features.TRANCHE: TRANCHES[number % 3],
        features.BRIGHTNESS: brightness,
    }


@pytest.fixture(scope="module")
def statistics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the component wrote in a pipeline of its own."""
    folder = tmp_path_factory.mktemp("statistics")
    for split, values in BRIGHTNESS.items():
        rows = [_row(number, value) for number, value in enumerate(values.tolist())]
        write_split(folder / "examples", split, rows)
    examples = Importer(
        source_uri=str(folder / "examples"),
        artifact_type=standard_artifacts.Examples,
        properties={"split_names": json.dumps(list(BRIGHTNESS))},
    ).with_id("examples")
    counted = StatisticsGen(examples=examples.outputs["result"], code_digest="of this test")
    LocalDagRunner().run(
        pipeline.Pipeline(
            pipeline_name="statistics",
            pipeline_root=str(folder / "artifacts"),
            components=[examples, counted],
            metadata_connection_config=metadata.sqlite_metadata_connection_config(
                str(folder / "metadata.sqlite")
            ),
            beam_pipeline_args=local_args(),
        )
    )
    (found,) = (folder / "artifacts" / "StatisticsGen" / "statistics").iterdir()
    return found


def _datasets(statistics: Path, split: str) -> dict[str, statistics_pb2.DatasetFeatureStatistics]:
    content = (statistics / f"Split-{split}" / "FeatureStats.pb").read_bytes()
    datasets = statistics_pb2.DatasetFeatureStatisticsList.FromString(content).datasets
    return {dataset.name: dataset for dataset in datasets}


def _feature(
    dataset: statistics_pb2.DatasetFeatureStatistics, name: str
) -> statistics_pb2.FeatureNameStatistics:
    (found,) = (feature for feature in dataset.features if feature.path.step == [name])
    return found


@pytest.mark.parametrize("split", [features.TRAIN, features.EVAL])
def test_every_example_is_counted_over_all_and_by_tranche(statistics: Path, split: str) -> None:
    values = BRIGHTNESS[split]
    datasets = _datasets(statistics, split)
    expected = {"All Examples": values} | {
        f"{features.TRANCHE}_{tranche}": values[start::3]
        for start, tranche in enumerate(TRANCHES)
        if len(values[start::3])
    }
    assert {name: dataset.num_examples for name, dataset in datasets.items()} == {
        name: len(part) for name, part in expected.items()
    }
    for name, part in expected.items():
        found = _feature(datasets[name], features.BRIGHTNESS).num_stats
        assert (found.min, found.max) == (part.min(), part.max())
        assert found.mean == pytest.approx(part.mean())
        assert found.std_dev == pytest.approx(part.std())


def test_pictures_are_measured_and_not_counted_as_values(statistics: Path) -> None:
    picture = _feature(_datasets(statistics, features.TRAIN)["All Examples"], features.IMAGE)
    assert picture.WhichOneof("stats") == "bytes_stats"
    assert picture.bytes_stats.common_stats.num_non_missing == len(BRIGHTNESS[features.TRAIN])
