"""The settings beside a page make the same run again."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.judging.acceptance import Acceptance
from pipeline import config
from pipeline.config import PipelineConfig, SplitShares
from pipeline.review import provenance

names = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/"), min_size=1
).filter(lambda name: name not in (".", ".."))


@given(name=names, floor=st.floats(0, 1), train=st.integers(1, 99), drawn=st.booleans())
def test_settings_survive_being_written(
    tmp_path_factory: pytest.TempPathFactory, name: str, floor: float, train: int, drawn: bool
) -> None:
    folder = Path("/output") / name
    settings = PipelineConfig(
        data_root=None if drawn else folder / 'a "quoted" \\ folder',
        output_root=folder,
        base_weights=str(folder / "weights.h5"),
        acceptance=Acceptance(accuracy_floor=floor),
        splits=SplitShares(train=train),
    )
    path = tmp_path_factory.mktemp("settings") / "settings.toml"
    provenance.write_settings(settings, path)
    assert config.load(path) == settings
