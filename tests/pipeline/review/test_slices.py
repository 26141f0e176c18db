"""Names and worst slices."""

from pipeline.review import slices
from pipeline.runs.run import SliceMetrics
from schema import features
from schema.slices import SliceKey


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
    assert [part.name for part in slices.worst(parts, 20)] == [
        "Lying in tranche 2",
        "occluded: Yes",
    ]


def test_slices_that_are_equally_weak_are_in_the_order_of_the_tranches() -> None:
    keys: list[SliceKey] = [((features.TRANCHE, name),) for name in ("1", "2", "10")]
    parts = slices.all_slices(
        {OVERALL: metrics(200, 0.8)} | {key: metrics(50, 0.6) for key in keys}
    )
    assert [part.name for part in slices.worst(parts, 20)] == [
        "tranche 1",
        "tranche 2",
        "tranche 10",
    ]
