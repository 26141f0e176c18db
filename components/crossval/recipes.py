"""The training recipes that are compared. Imports nothing heavy: the command line lists them."""

from collections.abc import Mapping
from typing import Any, Final

# What each recipe changes in the settings of the run; an ablation changes one thing.
VARIANTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "default": {},
    # Two plain phases: what the default has to beat.
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
