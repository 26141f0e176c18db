import json
from pathlib import Path

from pipeline.review import learning_curves


def test_epochs_are_counted_through_all_phases(tmp_path: Path) -> None:
    row = {"loss": 0.1, "accuracy": 0.9, "val_loss": 0.3, "val_accuracy": 0.8}
    history = {
        "phases": {
            "head": {"epochs": [row] * 2, "kept_epoch": 1, "most_epochs": 2, "learning_rate": 3e-4},
            "fine_tune": {
                "epochs": [row] * 5,
                "kept_epoch": 3,
                "most_epochs": 8,
                "learning_rate": 1e-4,
            },
        },
        "class_weights": {"0": 1.5, "2": 0.5},
        "examples": 10,
    }
    (tmp_path / "history.json").write_text(json.dumps(history), encoding="utf-8")
    found = learning_curves.training(tmp_path, 1.0, cached=False)
    assert [epoch.number for epoch in found.epochs] == [1, 2, 3, 4, 5, 6, 7]
    assert found.phases == [
        learning_curves.PhaseSummary("head", 2, 2, 3e-4, 1),
        learning_curves.PhaseSummary("fine_tune", 5, 8, 1e-4, 5),
    ]
    assert found.class_weights == {"Sitting": 1.5, "Lying": 0.5}
