"""Likely label errors, found by confident learning."""

import numpy as np
import numpy.typing as npt


def label_quality(
    labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Scores each label by self-confidence: the probability that the model gives it.

    Args:
      labels: [images], indices into `features.POSTURES`.
      probabilities: [images, postures].

    Returns:
      [images], 0 (worst) to 1.
    """
    return probabilities[np.arange(len(labels)), labels]


def suspects(
    labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Finds likely label errors by confident learning, as cleanlab does it.

    Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset
    Labels", JAIR 2021. The probabilities must be of images that the model was not trained on.

    Args:
      labels: [images], indices into `features.POSTURES`.
      probabilities: [images, postures].

    Returns:
      Positions of the doubted labels, likeliest error first; none if the labels have fewer than
      two postures.
    """
    # Imported here, because it takes seconds, and only some runs come this far.
    from cleanlab.filter import find_label_issues  # type: ignore[import-untyped]

    present = np.unique(labels)
    if len(present) < 2:
        return np.empty(0, np.int64)
    # cleanlab needs classes numbered from 0 without gaps, each with labels.
    among_present = probabilities[:, present]
    among_present = among_present / np.maximum(among_present.sum(axis=1, keepdims=True), 1e-12)
    found = find_label_issues(
        np.searchsorted(present, labels),
        among_present,
        return_indices_ranked_by="self_confidence",
        n_jobs=1,  # each of its worker processes would import TensorFlow
    )
    return np.asarray(found, np.int64)
