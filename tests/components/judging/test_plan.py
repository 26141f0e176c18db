"""Plans: what they hold, what changes their digest, and what their clips can prove."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.examples import parquet
from components.judging import acceptance_plan, power
from components.judging.acceptance import Acceptance
from components.judging.plan import Plan
from schema import features


def images(clips: int, frames: int = 2) -> pd.DataFrame:
    """A table of images in three tranches, a third of them in the test split."""
    return pd.DataFrame(
        {
            parquet.SPLIT: (features.TEST, features.TRAIN, features.EVAL)[clip % 3],
            features.FILE_NAME: f"{clip}_{frame}.png",
            features.CLIP: f"clip {clip}",
            features.TRANCHE: str(8 + clip // 3 % 3),
            features.POSTURE: features.POSTURES[clip // 9 % 3],
        }
        for clip in range(clips)
        for frame in range(frames)
    )


def make(table: pd.DataFrame, **settings: object) -> Plan:
    return acceptance_plan.make(table, Acceptance(**settings))  # type: ignore[arg-type]


def test_a_plan_counts_test_images_alone_by_slice() -> None:
    plan = make(images(270))
    places = [each.place for each in plan.provable]
    assert places[:4] == [(), *(((features.TRANCHE, name),) for name in ("8", "9", "10"))]
    assert len(places) == 1 + 3 + 3 + 9
    assert (plan.provable[0].images, plan.provable[0].clips) == (180, 90)
    assert list(plan.test_clips) == ["8", "9", "10"]
    assert plan.sentence.startswith("The 90 test clips can prove a loss to be below")


def test_the_digest_is_of_what_decides() -> None:
    table = images(90)
    plan = make(table)
    assert make(table.sample(frac=1, random_state=1)).sha256 == plan.sha256
    assert make(table, accuracy_floor=0.9).sha256 != plan.sha256
    test = table.index[table[parquet.SPLIT] == features.TEST]
    relabelled = table.copy()
    relabelled.loc[test[0], features.POSTURE] = "Lying"
    assert make(relabelled).sha256 != plan.sha256
    assert make(relabelled).test_clips["9"] == plan.test_clips["9"]
    other = table[table[parquet.SPLIT] != features.TRAIN]
    assert make(other).sha256 == plan.sha256


def test_fewer_and_longer_clips_prove_less() -> None:
    def margin(clips: int, frames: int = 1) -> float:
        return power.provable_margin(np.full(clips, float(frames)))

    assert margin(30) > margin(100) > margin(300) > margin(2000) > 0
    assert margin(300, 5) == pytest.approx(margin(300))  # frames of a clip add nothing
    uneven = np.array([1.0] * 200 + [20.0] * 20)
    assert power.provable_margin(uneven) > margin(220)


def test_the_margin_is_the_loss_that_four_of_five_equal_models_are_shown_to_stay_within() -> None:
    from components import intervals

    rng = np.random.default_rng(5)
    sizes = rng.integers(1, 4, 400).astype(float)
    margin = power.provable_margin(sizes)
    shown = 0
    for _ in range(300):
        fate = rng.random(400)
        gained, lost = sizes * (fate < power.CHANGES), sizes * (fate > 1 - power.CHANGES)
        shown += intervals.difference_interval(sizes, gained, lost)[0] > -margin
    assert shown / 300 == pytest.approx(power.POWER, abs=0.06)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_any_clips_have_a_margin(sizes: list[int]) -> None:
    assert 0 < power.provable_margin(np.array(sizes, float)) <= 1
