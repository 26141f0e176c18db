"""The last section: every term of statistics on the page, in a sentence.

A template marks a term with the macro `term` of parts.html.jinja; where it first stands on the
page it leads here.
"""

from typing import Final, NamedTuple


class Term(NamedTuple):
    """A term and what it means."""

    name: str
    meaning: str


# By anchor, in the order of their names.
TERMS: Final[dict[str, Term]] = {
    "interval": Term(
        "95 % interval",
        "The range in which a figure would probably lie on other clips of the same kind; it counts"
        " the frames of a clip as one observation, because forty frames of one person tell less"
        " than forty persons.",
    ),
    "accuracy": Term(
        "Accuracy", "The share of the images for which the model names the posture of the label."
    ),
    "calibration": Term(
        "Calibration",
        "How well confidence matches accuracy: of a hundred answers that a calibrated model gives"
        " with 80 % confidence, about eighty are right.",
    ),
    "calibration-error": Term(
        "Calibration error",
        "The expected calibration error: the mean gap between confidence and accuracy over"
        " fifteen ranges of confidence, from 0 (best) to 1.",
    ),
    "churn": Term(
        "Churn",
        "The share of the images to which two models give different answers, whether or not one of"
        " them is right.",
    ),
    "class-weight": Term(
        "Class weight",
        "How much an image of a posture counts in training, so that a rare posture is learnt as"
        " well as a frequent one.",
    ),
    "confidence": Term(
        "Confidence", "The probability, from 0 to 100 %, that the model gives to its own answer."
    ),
    "confident-learning": Term(
        "Confident learning",
        "A method that doubts a label if a model that was not trained on the image is confident of"
        " another posture (Northcutt, Jiang and Chuang 2021).",
    ),
    "confusion-matrix": Term(
        "Confusion matrix",
        "A table that counts images by label, one row each, and by the model's answer, one column"
        " each; what is right stands on its diagonal.",
    ),
    "coverage": Term("Coverage", "The share of the images that the model does not call unsure."),
    "drift": Term(
        "Drift",
        "The largest difference between two tranches in the share of a posture (the L-infinity"
        " distance), from 0 to 1.",
    ),
    "epoch": Term("Epoch", "One pass of the training over all training images."),
    "f1": Term(
        "F1 score",
        "The harmonic mean of a posture's recall and its precision, the share of the model's"
        " answers of that posture that are right.",
    ),
    "grad-cam": Term(
        "Grad-CAM",
        "A map of the regions of an image that raised the probability of the model's answer"
        " (Selvaraju et al. 2017).",
    ),
    "holm": Term(
        "Holm's correction",
        "Makes each of several comparisons stricter, so that all that is said to be shown is right"
        " in at least 97.5 of 100 cases, and not only each by itself.",
    ),
    "loss": Term(
        "Loss",
        "What training makes small: the mean cross-entropy, which is low if the labels' postures"
        " get high probabilities.",
    ),
    "macro-f1": Term(
        "Macro F1",
        "The mean of the F1 scores of the postures, so that a rare posture counts as much as a"
        " frequent one; among images of a single posture it has no meaning.",
    ),
    "margin": Term(
        "Margin", "How many percentage points of accuracy the plan allows a new model to lose."
    ),
    "near-duplicate": Term(
        "Near-duplicates",
        "Two images whose perceptual hashes, 64 bits each that describe an image's coarse light and"
        " dark, differ in few bits.",
    ),
    "no-worse": Term(
        "No worse",
        "Shown not to lose more than the margin: the lower end of the difference's interval is"
        " above minus the margin; worse is shown if its upper end is below.",
    ),
    "power": Term(
        "Power",
        "The probability that the test clips show a model to be no worse if it is in truth just as"
        " good as the other.",
    ),
    "quantile": Term(
        "Quantile",
        "The 5 % quantile is the value below which a twentieth of the images lie; the median is the"
        " 50 % quantile.",
    ),
    "recall": Term(
        "Recall",
        "The share of the images with a posture's label that the model finds: of those who lie, the"
        " share that it says lie.",
    ),
    "slice": Term("Slice", "A part of the test images that have a label or a property in common."),
    "temperature": Term(
        "Temperature",
        "A number by which the model's raw scores are divided after training: above 1 it lowers the"
        " confidence of every answer, and below 1 it raises it, without changing an answer.",
    ),
    "unsure": Term(
        "Unsure",
        "Said of an answer whose confidence is below the model's threshold; it should be left to a"
        " person.",
    ),
}
