"""Floors and comparisons on answers that are made up, so that the right verdict is known."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.examples import parquet
from components.judging import comparison
from components.judging.acceptance import Acceptance
from components.judging.decision import Comparison, Decision
from components.judging.plan import Plan
from schema import features
from schema.slices import SliceKey

LYING_2: SliceKey = ((features.TRANCHE, "2"), (features.POSTURE, "Lying"))


def answers(clips: int, frames: int = 1) -> pd.DataFrame:
    """Test images by clips of two tranches and all postures, all answered rightly by all models."""
    rows = [
        {
            **dict.fromkeys(parquet.PREDICTIONS.names),
            features.FILE_NAME: f"{clip}_{frame}.png",
            features.CLIP: f"clip {clip}",
            features.TRANCHE: "12"[clip % 2],
            features.POSTURE: features.POSTURES[clip // 2 % 3],
            features.OCCLUDED: "No",
            **dict.fromkeys(features.QUALITIES, "usual"),
            **dict.fromkeys(features.POSTURES, 0.1),
            features.POSTURES[clip // 2 % 3]: 0.8,
            features.UNSURE: False,
            "in_service_answer": features.POSTURES[clip // 2 % 3],
            "reference_answer": features.POSTURES[clip // 2 % 3],
        }
        for clip in range(clips)
        for frame in range(frames)
    ]
    return pd.DataFrame(rows)


def err(table: pd.DataFrame, rows: Sequence[int], model: str = "") -> pd.DataFrame:
    """Lets a model err on some rows: it names the posture after the right one."""
    table = table.copy()
    for row in rows:
        right = features.POSTURES.index(str(table.loc[row, features.POSTURE]))
        wrong = features.POSTURES[(right + 1) % 3]
        if model:
            table.loc[row, parquet.answer_of(model)] = wrong
        else:
            table.loc[row, wrong] = 0.9
    return table


def rows_of(table: pd.DataFrame, place: SliceKey) -> list[int]:
    """The rows of a slice."""
    kept = table
    for column, value in place:
        kept = kept[kept[column] == value]
    return list(kept.index)


def judge(table: pd.DataFrame, **settings: object) -> Decision:
    plan = Plan(acceptance=Acceptance(**settings), test_clips={}, provable=[])  # type: ignore[arg-type]
    return comparison.judge(table, plan, {"in_service": 1, "reference": 2})


def at(decision: Decision, place: SliceKey = (), against: str = "in_service") -> Comparison:
    (found,) = [
        each for each in decision.comparisons if (each.against, each.place) == (against, place)
    ]
    return found


def test_equal_models_pass_and_what_is_too_little_to_prove_is_said() -> None:
    decision = judge(answers(60))
    assert decision.passed
    assert at(decision).answer == "untold"  # 60 clips cannot exclude a loss of one point
    assert at(decision).passed is True
    assert at(decision, LYING_2).passed is None  # 10 clips do not decide
    assert judge(answers(60), evidence="proven").passed is False
    assert judge(answers(900), evidence="proven").passed is True


def test_many_clips_prove_that_equal_models_are_no_worse() -> None:
    decision = judge(answers(2400))
    judged = [each for each in decision.comparisons if each.margin is not None]
    assert {each.answer for each in judged} == {"no_worse"}
    assert all(each.confirmed and each.decides and each.passed for each in judged)


def test_a_slice_that_is_proven_worse_refuses_however_small_and_whatever_the_rest_gained() -> None:
    table = answers(240)
    others = [row for row in table.index if row not in rows_of(table, LYING_2)]
    worse = err(err(table, rows_of(table, LYING_2)[:30]), others[:60], "in_service")
    decision = judge(worse)
    assert at(decision).difference > 0 and at(decision).passed
    found = at(decision, LYING_2)
    assert (found.answer, found.decides, found.passed) == ("worse", False, False)
    assert not decision.passed


def test_from_enough_clips_on_the_estimate_decides() -> None:
    table = answers(600)
    lying = rows_of(table, ((features.POSTURE, "Lying"),))
    worse = err(table, lying[:12])  # 6 of 100 points, not proven to be more than 5
    assert at(judge(worse), ((features.POSTURE, "Lying"),)).answer == "untold"
    assert at(judge(worse), ((features.POSTURE, "Lying"),)).passed is False
    few = at(judge(worse, least_clips=201), ((features.POSTURE, "Lying"),))
    assert (few.decides, few.passed) == (False, None)


def test_a_loss_of_just_the_margin_passes() -> None:
    table = answers(300)
    assert at(judge(err(table, range(3)))).passed is True
    assert at(judge(err(table, range(4)))).passed is False


def test_small_losses_add_up_against_the_reference() -> None:
    table = answers(300)
    drifted = err(err(table, range(8)), range(6), "in_service")
    decision = judge(drifted)
    assert at(decision).passed is True
    assert at(decision, against="reference").passed is False
    assert not decision.passed


def test_the_first_family_that_is_not_shown_leaves_later_ones_unconfirmed() -> None:
    decision = judge(answers(700))
    by_family = {
        tuple(column for column, _ in each.place): each
        for each in decision.comparisons
        if each.against == "in_service" and each.margin is not None
    }
    assert by_family[()].answer == "no_worse"
    weak = judge(answers(150))
    assert at(weak).answer == "untold" and at(weak).confirmed
    tranche = at(weak, ((features.TRANCHE, "1"),))
    assert tranche.decides is False and tranche.confirmed is False


def test_slices_without_a_margin_are_only_described() -> None:
    decision = judge(err(answers(300), range(200)))
    found = at(decision, ((features.OCCLUDED, "No"),))
    assert (found.margin, found.answer, found.passed) == (None, None, None)
    assert found.difference == pytest.approx(-200 / 300)


def test_a_recall_below_its_floor_refuses_from_enough_clips_on_or_if_it_is_proven() -> None:
    table = answers(600)
    lying = rows_of(table, ((features.POSTURE, "Lying"),))
    both = err(err(table, lying[:30]), lying[:30], "in_service")
    both = err(both, lying[:30], "reference")
    found = {each.posture: each for each in judge(both).recalls}
    assert found["Lying"].recall == pytest.approx(0.85)
    assert (found["Lying"].passed, found["Sitting"].passed) == (False, True)
    few = {each.posture: each for each in judge(both, least_clips=300).recalls}
    assert few["Lying"].passed is None and few["Sitting"].passed is None
    none = err(table, lying[:150])
    assert {e.posture: e for e in judge(none, least_clips=300).recalls}["Lying"].passed is False
    lower = judge(both, recall_floors={"Lying": 0.85})
    assert {each.posture: each.floor for each in lower.recalls} == {
        "Sitting": 0.75,
        "Standing": 0.75,
        "Lying": 0.85,
    }
    assert lower.passed


def test_images_of_a_posture_that_the_other_does_not_know_are_left_out() -> None:
    table = answers(300)
    lying = rows_of(table, ((features.POSTURE, "Lying"),))
    table.loc[lying, "in_service_answer"] = None
    decision = judge(err(table, lying[:50]))
    assert decision.others["in_service"].left_out == len(lying)
    assert decision.others["in_service"].changed == 0
    assert at(decision).images == 300 - len(lying)
    assert all(
        ("primary_posture", "Lying") not in each.place
        for each in decision.comparisons
        if each.against == "in_service"
    )
    assert at(decision, against="reference").lost == 50


def test_a_model_that_knows_none_of_the_postures_is_no_model_to_compare_with() -> None:
    table = answers(30).assign(in_service_answer=None)
    decision = judge(table)
    assert decision.others["in_service"].changed is None
    assert {each.against for each in decision.comparisons} == {"reference"}


@pytest.mark.parametrize(
    ("sign_off", "clips", "asked"),
    [
        ("never", 60, False),
        ("unproven", 60, True),
        ("unproven", 2400, False),
        ("always", 2400, True),
    ],
)
def test_when_a_person_has_to_decide(sign_off: str, clips: int, asked: bool) -> None:
    assert bool(judge(answers(clips), sign_off=sign_off).sign_off) is asked


def test_without_another_model_there_is_nothing_to_prove() -> None:
    plan = Plan(acceptance=Acceptance(sign_off="unproven"), test_clips={}, provable=[])
    decision = comparison.judge(answers(30), plan, {})
    assert (decision.comparisons, decision.sign_off, decision.passed) == ([], [], True)


def test_churn_counts_answers_that_changed_even_between_wrong_ones() -> None:
    table = answers(100)
    table = err(err(table, range(10)), range(5), "in_service")
    assert judge(table).others["in_service"].changed == pytest.approx(0.05)


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0.001, 0.2))
def test_holm_rejects_more_than_bonferroni_and_less_than_none(
    p_values: list[float], alpha: float
) -> None:
    rejected = comparison.holm(p_values, alpha)
    for p, out in zip(p_values, rejected, strict=True):
        assert out or p > alpha / len(p_values)
        assert not out or p <= alpha
    worst = max((p for p, out in zip(p_values, rejected, strict=True) if out), default=-1.0)
    assert all(out for p, out in zip(p_values, rejected, strict=True) if p < worst)


def test_holm_is_right_on_an_example() -> None:
    assert comparison.holm([0.01, 0.04, 0.03, 0.005], 0.05) == [True, False, False, True]


@given(st.integers(0, 10_000), st.sampled_from(["estimate", "proven"]))
def test_a_decision_does_not_depend_on_the_order_of_the_rows(seed: int, evidence: str) -> None:
    rng = np.random.default_rng(seed)
    table = answers(40, frames=3)
    table = err(table, rng.choice(120, 12, replace=False))
    table = err(table, rng.choice(120, 12, replace=False), "in_service")
    mixed = table.sample(frac=1, random_state=seed)
    assert judge(mixed, evidence=evidence) == judge(table, evidence=evidence)
