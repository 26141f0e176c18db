import io
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.examples import parquet
from components.training import network
from pipeline.config import PipelineConfig
from pipeline.review import gallery
from schema import features
from tests.pipeline.review import stored

pytestmark = pytest.mark.filterwarnings("ignore:May not flag all label issues")

NAMES = ["<img src=x>.png", "'\"quoted\n.png", "späť 床.png"]


def predictions(count: int, seed: int = 0, accuracy: float = 0.8, tranches: int = 3):
    generator = np.random.default_rng(seed)
    postures = generator.integers(0, 3, count)
    right = generator.random(count) < accuracy
    predicted = np.where(right, postures, (postures + 1) % 3)
    confidence = generator.uniform(0.5, 1, count)
    probabilities = np.tile((1 - confidence[:, None]) / 2, 3)
    probabilities[np.arange(count), predicted] = confidence
    frame = pd.DataFrame(probabilities.astype(np.float32), columns=features.POSTURES)
    frame[features.POSTURE] = np.array(features.POSTURES, object)[postures]
    frame[features.FILE_NAME] = [
        NAMES[n] if n < len(NAMES) else f"image {n}.png" for n in range(count)
    ]
    frame[features.CLIP] = [f"clip {n // 5}" for n in range(count)]
    frame[features.TRANCHE] = [str(n % tranches + 1) for n in range(count)]
    for column in (features.HOW_MANY, features.OCCLUDED, features.PERSON_TYPE):
        frame[column] = features.BLANK
    frame[features.EXCEPTION_CASE] = "No"
    for column, values in features.QUALITY_VALUES.items():
        frame[column] = values[0]
    frame[features.UNSURE] = confidence < 0.6
    return frame


def with_a_model_in_service(frame: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The same predictions beside answers of which a third are drawn, and a few not known."""
    generator = np.random.default_rng([seed, 1])
    mine = frame[list(features.POSTURES)].to_numpy().argmax(axis=1)
    drawn = generator.integers(0, 3, len(frame))
    before = np.where(generator.random(len(frame)) < 1 / 3, drawn, mine)
    answers = np.array(features.POSTURES, object)[before]
    answers[generator.random(len(frame)) < 0.05] = None
    values = (answers, np.where(answers == None, np.nan, 0.75), answers == "Lying")  # noqa: E711
    return frame.assign(**dict(zip(IN_SERVICE, values, strict=True)))


IN_SERVICE = tuple(
    column("in_service") for column in (parquet.answer_of, parquet.confidence_of, parquet.unsure_of)
)


def write_split(folder: Path, frame: pd.DataFrame, width: int = 256, height: int = 144) -> None:
    """Images whose brightness is their position in the frame."""
    stored.write_split(folder, frame, range(len(frame)), width, height)


def test_mistakes_are_the_most_confident_errors():
    choice = gallery.choose(predictions(400))
    rows = choice.rows
    confidence = rows[list(features.POSTURES)].max(axis=1)
    wrong = rows.index[rows["actual"] != rows["predicted"]]
    assert choice.mistake_count == len(wrong)
    assert choice.mistakes == (
        confidence[wrong].sort_values(ascending=False, kind="stable").index[:24].tolist()
    )


def test_every_cell_of_every_tranche_has_pictures():
    choice = gallery.choose(predictions(2000, tranches=4))
    cell = ["actual", "predicted", features.TRANCHE]
    assert len(choice.shown) <= gallery.MOST_SHOWN
    occurring = choice.rows.groupby(cell).size()
    shown = choice.rows.loc[choice.shown].groupby(cell).size()
    assert set(shown.index) == set(occurring.index)
    assert (shown >= np.minimum(occurring, 3)).all()


def test_a_cell_shows_many_clips_before_two_frames_of_one():
    frame = predictions(60, accuracy=1, tranches=1)
    frame[features.POSTURE] = "Lying"
    frame[list(features.POSTURES)] = np.float32([0.02, 0.03, 0.95])
    rows = gallery.choose(frame).rows
    shown = rows.loc[gallery.choose(frame).shown]
    assert len(shown) == gallery.MOST_OF_A_CELL
    assert shown[features.CLIP].is_unique


def test_changed_pictures_are_shown_by_kind_of_error():
    frame = with_a_model_in_service(predictions(3000))
    choice = gallery.choose(frame)
    rows = choice.rows
    label, before = rows[features.POSTURE], rows[IN_SERVICE[0]]
    now = rows["predicted"].map(dict(enumerate(features.POSTURES)))
    for found, right, wrong in ((choice.lost, before, now), (choice.gained, now, before)):
        kinds = {
            (label[row], wrong[row])
            for row in rows.index[(right == label) & (wrong != label) & before.notna()]
        }
        assert set(found) == kinds
        for (actual, answer), places in found.items():
            assert set(label[places]) == {actual} == set(right[places])
            assert set(wrong[places]) == {answer}
            assert set(rows.loc[places, features.TRANCHE]) == {"1", "2", "3"}
            assert rows.loc[places, features.CLIP].is_unique
        assert sum(map(len, found.values())) == gallery.MOST_CHANGED
    assert len(choice.shown) <= gallery.MOST_SHOWN


@settings(max_examples=30)
@given(
    st.integers(0, 60),
    st.integers(0, 5),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(1, 40),
)
def test_the_choice_is_sound_and_does_not_depend_on_the_order(count, seed, accuracy, tranches):
    frame = with_a_model_in_service(predictions(count, seed, accuracy, tranches), seed)
    choice = gallery.choose(frame)
    again = gallery.choose(frame.sample(frac=1, random_state=seed))
    assert [getattr(choice, name) for name in PLACES] == [getattr(again, name) for name in PLACES]
    changed = {*itertools.chain(*choice.lost.values(), *choice.gained.values())}
    assert changed <= set(choice.shown)
    assert len(set(choice.shown)) == len(choice.shown) <= gallery.MOST_SHOWN
    assert {*choice.mistakes, *choice.label_errors} <= set(choice.shown)
    assert len(choice.mistakes) == min(choice.mistake_count, gallery.MOST_MISTAKES)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    network.build_model(32, 0.35, "none").save(path)
    return path


PLACES = ("shown", "mistakes", "label_errors", "lost", "gained")
CONFIG = PipelineConfig(image_size=32, fit="border")


def test_each_picture_shows_its_own_image_and_labels(tmp_path, model):
    frame = with_a_model_in_service(predictions(60, accuracy=0.6))
    write_split(tmp_path, frame)
    result = gallery.gallery(frame.sample(frac=1, random_state=1), tmp_path, model, CONFIG)
    by_name = {row[features.FILE_NAME]: (n, row) for n, row in frame.iterrows()}
    assert {picture.file_name for picture in result.shown} >= set(NAMES)
    for picture in result.shown:
        position, row = by_name[picture.file_name]
        thumbnail = Image.open(io.BytesIO(picture.thumbnail))
        assert thumbnail.size == (160, 90)
        assert abs(np.asarray(thumbnail).mean() - position) < 2
        assert picture.clip == row[features.CLIP]
        assert picture.actual == row[features.POSTURE]
        assert picture.predicted == max(features.POSTURES, key=lambda name: row[name])
        assert picture.labels[features.TRANCHE] == row[features.TRANCHE]
        assert picture.label_quality == pytest.approx(row[row[features.POSTURE]])
        assert picture.unsure == row[features.UNSURE]
        if row[IN_SERVICE[0]] is None:
            assert picture.other is None
        else:
            assert picture.other == gallery.Answer(*row[[*IN_SERVICE]])
    for found, was_right in ((result.lost, True), (result.gained, False)):
        for index in itertools.chain(*found.values()):
            picture = result.shown[index]
            assert (picture.other.posture == picture.actual) == was_right
            assert (picture.predicted == picture.actual) != was_right
    assert result.lost and result.gained
    for (actual, predicted), indices in result.cells.items():
        for index in indices:
            picture = result.shown[index]
            assert (picture.actual, picture.predicted) == (actual, predicted)
    assert sorted(itertools.chain(*result.cells.values())) == list(range(len(result.shown)))
    for index in result.mistakes:
        assert result.shown[index].actual != result.shown[index].predicted


def test_mistakes_and_doubted_labels_are_explained_and_the_others_not(tmp_path, model):
    frame = predictions(40, accuracy=0.9)
    write_split(tmp_path, frame, width=90, height=120)
    result = gallery.gallery(frame, tmp_path, model, CONFIG)
    explained = {*result.mistakes, *result.label_errors}
    assert explained
    for index, picture in enumerate(result.shown):
        assert (picture.attention is not None) == (index in explained)
        if picture.attention:
            assert Image.open(io.BytesIO(picture.attention)).size == (90, 120)


def test_no_predictions_are_no_pictures(tmp_path):
    result = gallery.gallery(predictions(0), tmp_path, tmp_path / "no-model", CONFIG)
    assert [getattr(result, name) for name in PLACES] == [[], [], [], {}, {}]
    assert result.cells == {}


def test_a_picture_that_the_split_lacks_is_an_error(tmp_path, model):
    frame = predictions(5)
    write_split(tmp_path, frame.iloc[1:])
    with pytest.raises(KeyError):
        gallery.gallery(frame, tmp_path, model, CONFIG)
