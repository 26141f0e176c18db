"""What decides a training."""

from dataclasses import dataclass

from components.training.training_data import UNLIMITED


@dataclass(frozen=True)
class TrainerSettings:
    """The part of the run's settings that training depends on.

    JSON-serialisable; part of the cache key. `pipeline.config.PipelineConfig` describes each.
    """

    base_weights: str
    image_size: int
    ingest_size: int
    fit: str
    alpha: float
    frozen_layers: int
    batch_size: int
    head_epochs: int
    head_learning_rate: float
    fine_tune_epochs: int
    fine_tune_learning_rate: float
    scratch_epochs: int
    scratch_learning_rate: float
    early_stopping_patience: int
    class_balance: str
    augmentation: float
    views: int
    feature_cache: bool
    mixup: float
    mirrored: bool
    seed: int
    wanted_accuracy: float

    def views_from(self, end: str | None) -> int:
        """Number of different views of each picture that a phase trains on.

        Args:
          end: the layer that the phase starts from, see `network.frozen_end`; None for pictures.
        """
        if not self.augmentation:
            return 1
        return UNLIMITED if end is None else self.views
