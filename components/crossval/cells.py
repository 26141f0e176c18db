"""Figures of recipes over folds and seeds."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from components import files
from components.crossval.pool import Pool, Split, clip_folds, tranche_folds
from components.crossval.trials import Probabilities, Report, Trial, Trials, run_missing
from components.intervals import accuracy_interval
from components.training import calibration


@dataclass(frozen=True)
class Cell:
    """The figures of one recipe and one way of holding out.

    Attributes:
      recipe: its name.
      held_out: `clips`, or `tranche N`.
      accuracies: of each seed, over all held-out images.
      calibration_errors: expected calibration error of each seed.
      calibration_error_by_chance: what a perfectly calibrated model would show on these clips,
        mean over the seeds (`calibration.calibration_error_by_chance`).
      low: lower end of the 95 % interval of the mean accuracy (`intervals.accuracy_interval`).
      high: its upper end.
    """

    recipe: str
    held_out: str
    accuracies: list[float]
    calibration_errors: list[float]
    calibration_error_by_chance: float
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
    """Computes the figures of a recipe from its answers.

    Args:
      recipe: its name.
      held_out: `clips`, or `tranche N`.
      pool: the images.
      answers: for each seed, each split and the probabilities of its held-out images.
    """
    accuracies, errors, by_chance = [], [], []
    hits = np.zeros(len(pool.labels))
    seen = np.zeros(len(pool.labels))
    for folds in answers:
        members = np.concatenate([split.held_out for split, _ in folds])
        probabilities = np.concatenate([found for _, found in folds])
        correct = probabilities.argmax(1) == pool.labels[members]
        accuracies.append(float(correct.mean()))
        confidence = probabilities.max(1)
        errors.append(calibration.expected_calibration_error(confidence, correct) or 0.0)
        by_chance.append(calibration.calibration_error_by_chance(confidence, pool.clips[members]))
        hits[members] += correct
        seen[members] += 1
    _, clip = np.unique(pool.clips, return_inverse=True)
    clip_hits, clip_seen = np.bincount(clip, hits), np.bincount(clip, seen)
    asked = clip_seen > 0
    low, high = accuracy_interval(clip_seen[asked], clip_hits[asked])
    return Cell(recipe, held_out, accuracies, errors, float(np.mean(by_chance)), low, high)


def cross_validate(
    trials: Trials,
    pool: Pool,
    recipes: Sequence[str],
    folds: int,
    seeds: int,
    report: Report,
) -> list[Cell]:
    """Runs all trials, recipe by recipe, and computes their figures.

    Args:
      trials: runs them.
      pool: the images.
      recipes: of `recipes.RECIPES`.
      folds: number of folds of clips.
      seeds: number of repetitions.
      report: is told the progress.

    Returns:
      A cell for each recipe and way of holding out.
    """
    by_tranche = tranche_folds(pool)
    splits = [[*clip_folds(pool, folds, seed), *by_tranche] for seed in range(seeds)]
    wanted = [
        Trial(recipe, split, seed)
        for recipe in recipes
        for seed, of_seed in enumerate(splits)
        for split in of_seed
    ]
    run_missing(trials, wanted, report)
    cells = []
    for recipe in recipes:
        for name in dict.fromkeys(split.name for split in splits[0]):
            answers = [
                [
                    (split, trials.answers(Trial(recipe, split, seed)))
                    for split in of_seed
                    if split.name == name
                ]
                for seed, of_seed in enumerate(splits)
            ]
            cells.append(cell(recipe, name, pool, answers))
    return cells


def write(path: Path, cells: Sequence[Cell], pool: Pool, folds: int, keep_test_out: bool) -> None:
    """Writes the figures as JSON.

    Args:
      path: the file.
      cells: the figures.
      pool: the images.
      folds: number of folds of clips.
      keep_test_out: whether the test clips were left out.
    """
    table = {
        "images": len(pool.labels),
        "clips": len(set(pool.clips.tolist())),
        "test clips left out": keep_test_out,
        "folds": folds,
        "cells": [asdict(each) for each in cells],
    }
    with files.replacing(path) as file:
        json.dump(table, file, indent=2)
