"""Names, worst slices and comparisons of two runs."""

from hypothesis import given
from hypothesis import strategies as st

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


@given(first=st.floats(0, 1), second=st.floats(0, 1), width=st.floats(0.001, 0.3))
def test_a_difference_is_noise_unless_it_leaves_both_intervals(
    first: float, second: float, width: float
) -> None:
    (part,) = slices.against(
        slices.all_slices({OVERALL: metrics(100, first, width)}),
        slices.all_slices({OVERALL: metrics(100, second, width)}),
    )
    assert part.difference == first - second
    if abs(first - second) < width:
        assert not part.beyond_noise
    if abs(first - second) > 2 * width:
        assert part.beyond_noise


def test_a_slice_that_the_other_run_lacks_has_no_difference() -> None:
    part = slices.against(
        slices.all_slices({OVERALL: metrics(10, 0.5), TWO: metrics(10, 0.5)}),
        slices.all_slices({OVERALL: metrics(10, 0.5, None)}),
    )
    assert part[0].difference == 0 and part[0].difference_low is None
    assert part[1].difference is None
    assert not part[0].beyond_noise
