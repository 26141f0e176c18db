"""Names, comparisons and worst slices."""

import pandas as pd

from pipeline.review import slices
from pipeline.runs.run import SliceMetrics
from schema import features
from schema.slices import SliceKey
from tests.support.decided import compared


def metrics(count: int, accuracy: float, width: float | None = 0.05) -> SliceMetrics:
    return SliceMetrics(
        example_count=count,
        accuracy=accuracy,
        accuracy_low=None if width is None else accuracy - width,
        accuracy_high=None if width is None else accuracy + width,
        confusion_matrix=[[count, 0, 0], [0, 0, 0], [0, 0, 0]],
    )


OVERALL: SliceKey = ()
TWO: SliceKey = ((features.TRANCHE, "2"),)
LYING: SliceKey = ((features.TRANCHE, "2"), (features.POSTURE, "Lying"))


def test_slices_are_named_for_people() -> None:
    parts = slices.all_slices({key: metrics(90, 0.7) for key in (OVERALL, TWO, LYING)})
    assert [part.name for part in parts] == ["all test images", "tranche 2", "Lying in tranche 2"]
    assert [group.title for group in slices.groups(parts)] == ["Tranche", "Posture by tranche"]


def test_worst_leaves_out_small_slices_and_those_as_good_as_the_whole() -> None:
    parts = slices.all_slices(
        {
            OVERALL: metrics(200, 0.8),
            TWO: metrics(100, 0.8),
            LYING: metrics(30, 0.6),
            ((features.OCCLUDED, "Yes"),): metrics(50, 0.7),
            ((features.LIGHT, "dark"),): metrics(19, 0.1),
        }
    )
    assert [part.name for part in slices.worst(parts, 20, None)] == [
        "Lying in tranche 2",
        "occluded: Yes",
    ]


def test_slices_that_are_equally_weak_are_in_the_order_of_the_tranches() -> None:
    keys: list[SliceKey] = [((features.TRANCHE, name),) for name in ("1", "2", "10")]
    parts = slices.all_slices(
        {OVERALL: metrics(200, 0.8)} | {key: metrics(50, 0.6) for key in keys}
    )
    assert [part.name for part in slices.worst(parts, 20, None)] == [
        "tranche 1",
        "tranche 2",
        "tranche 10",
    ]


def test_of_slices_with_the_same_wrong_pictures_the_smallest_is_named() -> None:
    table = pd.DataFrame(
        {
            features.TRANCHE: ["1", "1", "2", "2", "2"],
            features.LIGHT: ["usual", "usual", "usual", "dark", "dark"],
            features.POSTURE: ["Sitting", "Standing", "Sitting", "Lying", "Lying"],
            # Wrong are the second, and the last two.
            **{"Sitting": [0.9, 0.9, 0.9, 0.9, 0.9], "Standing": 0.1, "Lying": 0.0},
        }
    )
    parts = slices.all_slices(
        {
            OVERALL: metrics(5, 0.4),
            ((features.TRANCHE, "1"),): metrics(2, 0.3),
            TWO: metrics(3, 1 / 3),
            LYING: metrics(2, 0.0),
            ((features.LIGHT, "dark"),): metrics(2, 0.0),
            ((features.LIGHT, "usual"),): metrics(3, 0.35),
        }
    )
    named = [part.name for part in slices.worst(parts, 1, table)]
    assert named == ["Lying in tranche 2", "tranche 1"]


def test_a_slice_has_its_comparisons() -> None:
    found = [compared(TWO), compared(TWO, 9, against="reference"), compared()]
    whole, two = slices.all_slices({OVERALL: metrics(9, 0.7), TWO: metrics(9, 0.7)}, found)
    assert whole.comparisons == {"in_service": found[2]}
    assert two.comparisons == {"in_service": found[0], "reference": found[1]}
    assert (whole.key, two.key) == (OVERALL, TWO)
