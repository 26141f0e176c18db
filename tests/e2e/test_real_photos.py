"""The main job on the real photos: it has to end with a model in service."""

from pathlib import Path

import pytest

from tests.support.running import Command, accuracies_on_the_page


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_real_photos_end_pushed(shared_data: Path, command: Command, tmp_path: Path) -> None:
    weights = shared_data / "weights" / "mobilenet_v2_1.0_224_no_top.dequantised.h5"
    ended = command.run(
        tmp_path / "out",
        "--data-root",
        str(shared_data / "tranches"),
        "--base-weights",
        str(weights),
        # With the default's four views tranche 2 is one image above its floor: a dozen frames of
        # one clip that another processor may turn over.
        views=8,
    )
    assert ended.status == 0, ended.text
    record = ended.record
    assert record["verdict"] == "pushed"
    assert record["accuracy"] >= 0.87
    assert record["counts"]["images"] == 597
    assert record["counts"]["clips"] == 147
    for tranche in ("1", "2", "3"):
        assert record["metrics"][f"tranche={tranche}"]["accuracy"] >= 0.75
    assert accuracies_on_the_page(ended) == 4
