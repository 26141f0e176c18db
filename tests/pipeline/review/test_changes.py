"""Two models' answers to the same images, against counting by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError
from components.examples import parquet
from pipeline.review import changes, other_answers
from schema import features

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["1", "2", "10"]),
        st.integers(0, 4),  # the clip
        *[st.sampled_from(features.POSTURES)] * 2,  # label and answer
        st.sampled_from([*features.POSTURES, None]),  # before
    ),
    min_size=1,
    max_size=40,
)


def table(rows: list[tuple[str, int, str, str, str | None]]) -> pd.DataFrame:
    """Predictions, with the answers of the model in service."""
    return pd.DataFrame(
        [
            {
                features.FILE_NAME: f"{number}.png",
                features.TRANCHE: tranche,
                features.CLIP: f"{tranche}-{clip}",
                features.POSTURE: label,
                **{name: 0.8 if name == answer else 0.1 for name in features.POSTURES},
                features.UNSURE: False,
                parquet.answer_of("in_service"): before,
                parquet.confidence_of("in_service"): None if before is None else 0.7,
                parquet.unsure_of("in_service"): None if before is None else True,
            }
            for number, (tranche, clip, label, answer, before) in enumerate(rows)
        ]
    )


@given(ROWS)
def test_every_count_is_what_counting_gives(rows):
    result = changes.changes(table(rows))
    both = [row for row in rows if row[4] is not None]
    if not both:
        assert result is None
        return

    def count(chosen):
        return changes.Count(len(chosen), len({row[:2] for row in chosen}))

    def lost(row):
        return row[4] == row[2] != row[3]

    def gained(row):
        return row[3] == row[2] != row[4]

    assert result.left_out == len(rows) - len(both)
    assert result.whole.images == len(both)
    for part in result.parts:
        within = [
            row
            for row in both
            if part.name
            in ("all test images", f"tranche {row[0]}", row[2], f"{row[2]} in tranche {row[0]}")
        ]
        assert part.images == len(within) > 0
        assert part.changed == count([row for row in within if row[3] != row[4]])
        assert part.lost == count([*filter(lost, within)])
        assert part.gained == count([*filter(gained, within)])
    assert {part.name for part in result.parts} == {"all test images"}.union(
        *({f"tranche {row[0]}", row[2], f"{row[2]} in tranche {row[0]}"} for row in both)
    )
    for at, actual in enumerate(features.POSTURES):
        for to, answer in enumerate(features.POSTURES):
            assert result.now[at][to] == sum(row[2:4] == (actual, answer) for row in both)
            assert result.before[at][to] == sum(
                (row[2], row[4]) == (actual, answer) for row in both
            )
    for kind in result.kinds:
        assert kind.now == count([row for row in both if row[2:4] == (kind.actual, kind.answer)])
        assert kind.lost.images <= kind.now.images
        assert kind.gained.images <= kind.before.images
    assert sum(kind.lost.images for kind in result.kinds) == result.whole.lost.images
    assert sum(kind.gained.images for kind in result.kinds) == result.whole.gained.images


def test_the_most_harmful_error_comes_first():
    labels = [(a, b) for a in features.POSTURES for b in features.POSTURES]
    result = changes.changes(table([("1", 0, a, b, a) for a, b in labels]))
    names = [kind.name for kind in result.kinds]
    assert names[:2] == ["Lying taken for Sitting", "Lying taken for Standing"]
    assert len(names) == len(set(names)) == 6
    assert {str(kind.lost) for kind in result.kinds} == {"1 in 1 clip"}


def test_the_reference_is_compared_with_if_no_model_is_in_service():
    frame = table([("1", 0, "Lying", "Lying", None), ("1", 0, "Lying", "Sitting", None)])
    assert changes.changes(frame) is None
    frame[parquet.answer_of("reference")] = ["Lying", "Lying"]
    frame[parquet.confidence_of("reference")] = [0.5, 0.6]
    frame[parquet.unsure_of("reference")] = [True, False]
    result = changes.changes(frame)
    assert result.other == "the reference model"
    assert result.whole.lost == changes.Count(1, 1)
    found = other_answers.beside(frame)
    assert found[[*other_answers.OTHER]].to_numpy().tolist() == [
        ["Lying", 0.5, True],
        ["Lying", 0.6, False],
    ]


def test_runs_of_earlier_versions_have_no_other_answers():
    frame = table([("1", 0, "Lying", "Lying", None)])
    old = frame.drop(columns=[name for name in frame if name.startswith("in_service")])
    assert changes.changes(old) is None
    assert other_answers.beside(old)["other_answer"].isna().all()


@given(ROWS, ROWS)
def test_another_run_is_compared_on_the_images_that_both_have(rows, others):
    mine, theirs = table(rows), table(others)
    common = [
        (row, other)
        for row, other in zip(rows, others, strict=False)
        if row[:3] == other[:3]  # the names are the numbers
    ]
    if not common:
        with pytest.raises(InputError, match="No test image of this run"):
            other_answers.of_run(mine, theirs, "r1")
        return
    joined = other_answers.of_run(mine, theirs.sample(frac=1, random_state=1), "r1")
    assert joined[features.FILE_NAME].tolist() == mine[features.FILE_NAME].tolist()
    assert set(joined) == set(mine)
    result = changes.changes(joined, "r1")
    assert result.other == "the model of run r1"
    assert result.whole.images == len(common)
    assert result.left_out == len(rows) - len(common)
    assert result.whole.changed.images == sum(row[3] != other[3] for row, other in common)
    answered = joined[parquet.answer_of("in_service")].notna()
    assert np.allclose(joined.loc[answered, parquet.confidence_of("in_service")].astype(float), 0.8)
    assert not joined.loc[answered, parquet.unsure_of("in_service")].any()
