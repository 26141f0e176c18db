"""Cross-validation of training recipes: how well they do on clips and tranches never seen.

Two ways to hold out: folds of clips (frames of one clip are never on two sides), and
one whole tranche after another. Temperature and early stopping look at an eval part
that is taken from the training clips, never at what is held out.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from components import calibration, model, original_recipe, preprocessing, trainer
from components.frozen_features import FeatureCache
from components.trainer import TrainerSettings
from components.training_data import Examples, Features, Part, Pictures, evaluation_data
from schema import features

# One clip in seven of those that are trained on decides when training stops, and the temperature.
EVAL_PARTS: Final = 7
RESAMPLES: Final = 2000  # of the clips, for an interval

# What each recipe changes in the settings of the run; an ablation changes one thing.
VARIANTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "default": {},
    # Two phases and no more: what the default has to beat.
    "plain": {
        "head_epochs": 6,
        "head_learning_rate": 3e-4,
        "fine_tune_epochs": 4,
        "fine_tune_learning_rate": 1e-5,
        "augmentation": 0.0,
        "mixup": 0.0,
    },
    "without augmentation": {"augmentation": 0.0},
    "without mixup": {"mixup": 0.0},
    "without class weights": {"class_balance": "none"},
    "head only": {"fine_tune_epochs": 0},
}
LOGISTIC: Final = "logistic"  # logistic regression on the frozen base's pooled output
ORIGINAL: Final = "original"  # the students' script
RECIPES: Final = (*VARIANTS, LOGISTIC, ORIGINAL)

Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Pool:
    """All selected images, in one order.

    Attributes:
      files: TFRecords of pictures, labels and clips, as Transform writes them.
      labels: int64 [images].
      clips: the clip of each, str [images].
      tranches: the tranche of each, str [images].
    """

    files: list[str]
    labels: npt.NDArray[np.int64]
    clips: npt.NDArray[np.str_]
    tranches: npt.NDArray[np.str_]


def read_pool(
    shards: list[str],
    selection: str,
    size: int,
    fit: str,
    folder: Path,
    is_left_out: Callable[[str], bool],
) -> Pool:
    """Decodes and fits the selected images of ingestion's TFRecords, as Transform does.

    Args:
      shards: gzipped TFRecords of all tranches.
      selection: `labelled` or `single_person`.
      size: side of the pictures, pixels.
      fit: how they are brought to it (`preprocessing.fit_image`).
      folder: where the pictures go.
      is_left_out: says of a clip whether its images are left out.
    """
    columns = (
        *(features.IMAGE, features.POSTURE, features.HOW_MANY, features.OCCLUDED),
        *(features.CLIP, features.TRANCHE),
    )
    spec = {name: tf.io.FixedLenFeature([], tf.string) for name in columns}

    def parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
        example = tf.io.parse_single_example(record, spec)
        png = preprocessing.compact(example.pop(features.IMAGE), size, fit)
        label = preprocessing.label_of(example[features.POSTURE])
        return {**example, features.IMAGE: png, features.LABEL: label}

    labels, clips, tranches = [], [], []
    path = folder / "pictures.tfrecord.gz"
    rows = tf.data.TFRecordDataset(shards, "GZIP").map(
        parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for row in rows.as_numpy_iterator():
            posture, how_many, occluded, clip, tranche = (
                row[name].decode() for name in columns[1:]
            )
            selected = features.is_selected(selection, posture, how_many, occluded)
            if not selected or is_left_out(clip):
                continue
            example = tf.train.Example()
            example.features.feature[features.IMAGE].bytes_list.value.append(row[features.IMAGE])
            example.features.feature[features.LABEL].int64_list.value.append(row[features.LABEL])
            example.features.feature[features.CLIP].bytes_list.value.append(row[features.CLIP])
            writer.write(example.SerializeToString())
            labels.append(row[features.LABEL])
            clips.append(clip)
            tranches.append(tranche)
    return Pool([str(path)], np.array(labels, np.int64), np.array(clips), np.array(tranches))


@dataclass(frozen=True)
class Split:
    """One training of a cross-validation.

    Attributes:
      name: which way of holding out, and what: `clips` or `tranche N`.
      train: indices into the pool, int64.
      held_out: the same.
    """

    name: str
    train: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]


def clip_folds(pool: Pool, folds: int, seed: int) -> list[Split]:
    """Folds of whole clips, with about the same shares of postures."""
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return [
        Split("clips", train, held_out)
        for train, held_out in splitter.split(pool.labels, pool.labels, pool.clips)
    ]


def tranche_folds(pool: Pool) -> list[Split]:
    """One whole tranche held out after another."""
    return [
        Split(
            f"tranche {tranche}",
            np.flatnonzero(pool.tranches != tranche),
            np.flatnonzero(pool.tranches == tranche),
        )
        for tranche in sorted(set(pool.tranches.tolist()))
    ]


class Trials:
    """Trains recipes on parts of a pool, and remembers what came out.

    Args:
      pool: the images.
      settings: of the default recipe.
      cache_root: folder of stored features.
      folder: of finished trials; the same trial is not run again.
      code: digest of the code that trains; another one runs all trials again.
      report: hears how many pictures the frozen layers have seen, and of how many.
    """

    def __init__(
        self,
        pool: Pool,
        settings: TrainerSettings,
        cache_root: Path,
        folder: Path,
        code: str,
        report: Callable[[int, int], None],
    ) -> None:
        self._pool, self._settings, self._folder = pool, settings, folder
        self._cache_root, self._code, self._report = cache_root, code, report
        self._features: dict[tuple[int, float], dict[str, Features]] = {}

    def probabilities(self, recipe: str, split: Split, seed: int) -> Probabilities:
        """Trains a recipe on one side of a split.

        Args:
          recipe: one of `RECIPES`.
          split: what is trained on, what is held out.
          seed: of everything that is drawn.

        Returns:
          Calibrated probabilities of the held-out images, float32 [images, 3].
        """
        settings = replace(self._settings, **VARIANTS.get(recipe, {}), seed=seed)
        identity = [recipe, asdict(settings), split.train.tolist(), split.held_out.tolist()]
        identity += [self._pool.labels.tolist(), self._code]
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]
        finished = self._folder / f"{digest}.npy"
        if finished.exists():
            return np.load(finished)
        keras.utils.set_random_seed(seed)
        parts = StratifiedGroupKFold(EVAL_PARTS, shuffle=True, random_state=seed)
        clips, labels = self._pool.clips[split.train], self._pool.labels[split.train]
        train, evaluation = (split.train[side] for side in next(parts.split(labels, labels, clips)))
        if recipe == LOGISTIC:
            found = self._logistic(settings, split)
        elif recipe == ORIGINAL:
            found = self._original(settings, split)
        else:
            found = self._phases(settings, train, evaluation, split.held_out)
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
            np.save(file, found)
        Path(file.name).rename(finished)
        keras.backend.clear_session()
        return found

    def _stored(self, posture_model: keras.Model, settings: TrainerSettings) -> dict[str, Features]:
        views = settings.views_from(model.POOL)
        ends = trainer.frozen_ends(posture_model, settings)
        key = (views, settings.augmentation)
        if key not in self._features or not ends <= set(self._features[key]):
            cache = FeatureCache(
                self._cache_root, posture_model, sorted(ends), views, settings.augmentation
            )
            self._features[key] = cache.features(self._pool.files, self._report)
        return self._features[key]

    def _phases(
        self,
        settings: TrainerSettings,
        train: npt.NDArray[np.int64],
        evaluation: npt.NDArray[np.int64],
        held_out: npt.NDArray[np.int64],
    ) -> Probabilities:
        posture_model = model.build_model(
            settings.image_size, settings.alpha, settings.base_weights
        )
        stored = self._stored(posture_model, settings)

        def whole(end: str | None) -> Examples:
            return stored[end] if end else self._pictures(settings)

        def examples(end: str | None) -> tuple[Examples, Examples]:
            return Part(whole(end), train), Part(whole(end), evaluation)

        with tempfile.TemporaryDirectory() as folder:
            trainer.fit(posture_model, settings, examples, Path(folder), Path(folder, "logs"))
        end = model.frozen_end(posture_model)
        trainer.calibrate(posture_model, Part(whole(end), evaluation), settings)
        answering = model.after(posture_model, end)
        return answering.predict(
            evaluation_data(Part(whole(end), held_out), settings.batch_size), verbose=0
        )

    def _pictures(self, settings: TrainerSettings) -> Pictures:
        path = Path(self._pool.files[0]).with_name("pictures")
        return Pictures(self._pool.files, path, settings.image_size, settings.augmentation)

    def _logistic(self, settings: TrainerSettings, split: Split) -> Probabilities:
        posture_model = model.build_model(
            settings.image_size, settings.alpha, settings.base_weights
        )
        plain = replace(settings, augmentation=0.0, fine_tune_epochs=0)
        stored = self._stored(posture_model, plain)[model.POOL]
        pooled = stored.store.read(stored.positions, np.zeros(len(stored.labels), np.int64))
        regression = make_pipeline(
            StandardScaler(),
            LogisticRegression(class_weight="balanced", max_iter=1000, random_state=settings.seed),
        )
        regression.fit(pooled[split.train].astype(np.float32), stored.labels[split.train])
        return regression.predict_proba(pooled[split.held_out].astype(np.float32)).astype(
            np.float32
        )

    def _original(self, settings: TrainerSettings, split: Split) -> Probabilities:
        pictures = self._pictures(settings)
        return original_recipe.train_and_predict(
            Part(pictures, split.train),
            Part(pictures, split.held_out),
            settings.image_size,
            settings.alpha,
            settings.base_weights,
            settings.seed,
        )


@dataclass(frozen=True)
class Cell:
    """What a recipe reaches in one way of holding out.

    Attributes:
      recipe: its name.
      held_out: `clips`, or `tranche N`.
      accuracies: of each seed, over all held-out images.
      calibration_errors: expected calibration error of each seed.
      low: lower end of the 95 % interval of the mean accuracy.
      high: its upper end.
    """

    recipe: str
    held_out: str
    accuracies: list[float]
    calibration_errors: list[float]
    low: float
    high: float

    @property
    def accuracy(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.accuracies))

    @property
    def calibration_error(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.calibration_errors))


def cell(
    recipe: str,
    held_out: str,
    pool: Pool,
    answers: list[list[tuple[Split, Probabilities]]],
) -> Cell:
    """Sums up what a recipe answered.

    The interval is a bootstrap over clips, not images (Davison and Hinkley 1997, section
    3.8): frames of one clip are right or wrong together.

    Args:
      recipe: its name.
      held_out: which way.
      pool: the images.
      answers: for each seed, each split and the probabilities of its held-out images.
    """
    accuracies, errors = [], []
    hits = np.zeros(len(pool.labels))
    seen = np.zeros(len(pool.labels))
    for folds in answers:
        members = np.concatenate([split.held_out for split, _ in folds])
        probabilities = np.concatenate([found for _, found in folds])
        correct = probabilities.argmax(1) == pool.labels[members]
        accuracies.append(float(correct.mean()))
        error = calibration.expected_calibration_error(probabilities.max(1), correct)
        errors.append(float(error or 0.0))
        hits[members] += correct
        seen[members] += 1
    _, clip = np.unique(pool.clips, return_inverse=True)
    clip_hits, clip_seen = np.bincount(clip, hits), np.bincount(clip, seen)
    counted = np.flatnonzero(clip_seen)
    drawn = np.random.default_rng(0).choice(counted, (RESAMPLES, len(counted)))
    low, high = np.quantile(clip_hits[drawn].sum(1) / clip_seen[drawn].sum(1), [0.025, 0.975])
    return Cell(recipe, held_out, accuracies, errors, float(low), float(high))


def cross_validate(
    trials: Trials,
    pool: Pool,
    recipes: list[str],
    folds: int,
    seeds: int,
    report: Callable[[int, int], None],
) -> Iterator[Cell]:
    """Runs all trials, recipe by recipe.

    Args:
      trials: runs them.
      pool: the images.
      recipes: of `RECIPES`.
      folds: of clips; 0 leaves this way out.
      seeds: how often everything is repeated.
      report: hears how many trials are done, and how many there are.

    Yields:
      A cell for each recipe and way of holding out.
    """
    by_tranche = tranche_folds(pool)
    total = len(recipes) * seeds * (folds + len(by_tranche))
    done = 0
    for recipe in recipes:
        ways: dict[str, list[list[tuple[Split, Probabilities]]]] = {}
        for seed in range(seeds):
            splits = [*(clip_folds(pool, folds, seed) if folds else []), *by_tranche]
            found: dict[str, list[tuple[Split, Probabilities]]] = {}
            for split in splits:
                answer = trials.probabilities(recipe, split, seed)
                found.setdefault(split.name, []).append((split, answer))
                done += 1
                report(done, total)
            for name, folds_of_seed in found.items():
                ways.setdefault(name, []).append(folds_of_seed)
        for name, answers in ways.items():
            yield cell(recipe, name, pool, answers)
