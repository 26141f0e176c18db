import json

import pytest

from pipeline.review import learning_curves


def written(folder, most, eval_losses):
    rows = [
        {"epoch": number, "loss": 0.1, "accuracy": 0.9, "val_loss": loss, "val_accuracy": 0.8}
        for number, loss in enumerate(eval_losses)
    ]
    history = {
        "phases": {"head": {"epochs": rows[:1]}, "fine_tune": {"epochs": rows}},
        "settings": {
            "head_epochs": 1,
            "head_learning_rate": 3e-4,
            "fine_tune_epochs": most,
            "fine_tune_learning_rate": 1e-4,
        },
        "class_weights": None,
        "examples": 10,
    }
    (folder / "history.json").write_text(json.dumps(history), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("most", "kept"),
    [
        pytest.param(3, 4, id="ran to its end: the last one"),
        pytest.param(8, 3, id="stopped early: the lowest eval loss"),
    ],
)
def test_says_whose_weights_were_kept(tmp_path, most, kept):
    found = learning_curves.training(written(tmp_path, most, [0.5, 0.3, 0.4]), 1.0, cached=False)
    head, fine_tune = found.phases
    assert head.kept_epoch == 1
    assert fine_tune.kept_epoch == kept
