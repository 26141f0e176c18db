"""Runs ImageTable on Beam: every image of every split, and nothing of its pixels."""

import json
from pathlib import Path
from typing import Any

import pytest
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.types import standard_artifacts

from components.examples import image_table, parquet
from components.examples.image_table import ImageTable
from pipeline.beam import local_args
from schema import features
from tests.support.examples import Row, serialized, write_split

SPLITS = {features.TRAIN: 7, features.EVAL: 2, features.TEST: 3, features.UNSELECTED: 1}
NUMBERS = {
    features.WIDTH: 640,
    features.HEIGHT: 480,
    features.BRIGHTNESS: 100.5,
    features.CONTRAST: 50.25,
    features.SHARPNESS: 300.0,
    features.SATURATION: 0.0,
}


def row(name: str, **changed: Any) -> Row:
    """An example with every column; a change to None leaves a column out."""
    values: dict[str, Any] = {
        features.IMAGE: b"\xff\xd8" + bytes(50_000),
        **dict.fromkeys(features.EXAMPLE_COLUMNS, features.BLANK),
        features.FILE_NAME: name,
        features.POSTURE: "Lying",
        features.PERCEPTUAL_HASH: "00ff00ff00ff00ff",
        **NUMBERS,
        **changed,
    }
    return {column: value for column, value in values.items() if value is not None}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the component wrote in a pipeline of its own."""
    folder = tmp_path_factory.mktemp("image_table")
    for split, count in SPLITS.items():
        rows = [row(f"<{split} {number}>.jpg") for number in range(count)]
        write_split(folder / "examples", split, rows)
    examples = Importer(
        source_uri=str(folder / "examples"),
        artifact_type=standard_artifacts.Examples,
        properties={"split_names": json.dumps(list(SPLITS))},
    ).with_id("examples")
    LocalDagRunner().run(
        pipeline.Pipeline(
            pipeline_name="image_table",
            pipeline_root=str(folder / "root"),
            components=[
                examples,
                ImageTable(examples=examples.outputs["result"], code_digest=""),
            ],
            metadata_connection_config=metadata.sqlite_metadata_connection_config(
                str(folder / "metadata.sqlite")
            ),
            beam_pipeline_args=local_args(),
        )
    )
    (written,) = (folder / "root" / "ImageTable" / "images").iterdir()
    return written


def test_every_image_of_every_split_is_a_row(table: Path) -> None:
    found = parquet.read(table, parquet.IMAGES)
    assert list(found.columns) == parquet.IMAGES.names
    assert found[parquet.SPLIT].value_counts().to_dict() == SPLITS
    assert set(found[features.FILE_NAME]) == {
        f"<{split} {number}>.jpg" for split, count in SPLITS.items() for number in range(count)
    }


def test_values_are_those_of_the_examples(table: Path) -> None:
    row = parquet.read(table, parquet.IMAGES).iloc[0]
    assert row[features.POSTURE] == "Lying"
    assert row[features.OCCLUDED] == features.BLANK
    assert row[features.PERCEPTUAL_HASH] == "00ff00ff00ff00ff"
    assert {name: row[name] for name in NUMBERS} == NUMBERS


def test_no_pixels_are_in_it(table: Path) -> None:
    files = list(table.iterdir())
    assert files and all(file.match("images-*.parquet") for file in files)
    assert sum(file.stat().st_size for file in files) < 50_000


def test_a_record_that_breaks_the_contract_is_a_row_with_gaps() -> None:
    gaps = row("x.jpg", primary_posture=None, width=None, clip=b"\xff")
    found = image_table.row(serialized(gaps), "test")
    assert (found[features.POSTURE], found[features.WIDTH]) == (None, None)
    assert found[features.CLIP] == "\ufffd"
    assert found[features.HEIGHT] == 480
