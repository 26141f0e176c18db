"""The main job on the real photos: the model has learnt them, and the verdict is what it earned."""

from pathlib import Path

import pytest

from pipeline.config import PipelineConfig
from pipeline.record import EXIT_STATUS, OVERALL
from tests.e2e.running import Command, accuracies_on_the_page

# Far above the largest class, which is half of them, and below what any training has reached: a
# dozen frames of one clip are 7 % of the test images, and another processor may turn them over.
LEARNT = 0.8


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_real_photos_get_the_verdict_that_they_earn(
    shared_data: Path, command: Command, tmp_path: Path
) -> None:
    weights = shared_data / "weights" / "mobilenet_v2_1.0_224_no_top.dequantised.h5"
    ended = command.run(
        tmp_path / "out",
        "--data-root",
        str(shared_data / "tranches"),
        "--base-weights",
        str(weights),
    )
    record, floors = ended.record, PipelineConfig()
    assert record["counts"]["images"] == 597
    assert record["counts"]["clips"] == 147
    assert record["accuracy"] >= LEARNT
    metrics = record["metrics"]
    passed = (
        record["accuracy"] >= floors.accuracy_floor
        and metrics[OVERALL]["coverage"] >= floors.coverage_floor
        and all(
            metrics[f"tranche={tranche}"]["accuracy"] >= floors.tranche_accuracy_floor
            for tranche in ("1", "2", "3")
        )
    )
    verdict = "pushed" if passed else "not_blessed"
    assert record["verdict"] == verdict, ended.text
    assert ended.status == EXIT_STATUS[verdict]
    assert accuracies_on_the_page(ended) == 4
