"""ServingCheck's inputs, outputs and parameters; the executor says what it does."""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, Channel, component_spec, standard_artifacts

from components.judging.serving_check import executor
from schema import features


class ServingCheckSpec(component_spec.ComponentSpec):
    """What ServingCheck reads, writes and can be told."""

    PARAMETERS = {  # noqa: RUF012 (TFX's own form)
        executor.SPLIT: component_spec.ExecutionParameter(type=str),
        executor.IMAGES: component_spec.ExecutionParameter(type=int),
        executor.LOSSLESS_TOLERANCE: component_spec.ExecutionParameter(type=float),
        executor.LOSSY_TOLERANCE: component_spec.ExecutionParameter(type=float),
        executor.TIMEOUT: component_spec.ExecutionParameter(type=int),
        # Read by nobody: an edited source file has to invalidate the cache.
        "code_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        executor.MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {  # noqa: RUF012
        executor.BLESSING: component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing),
    }


class ServingCheck(base_component.BaseComponent):
    """Blesses a model that answers real requests in a process of its own as it did in training."""

    SPEC_CLASS = ServingCheckSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        model: BaseChannel,
        examples: BaseChannel,
        code_digest: str,
        split: str = features.TEST,
        images: int = 32,
        lossless_tolerance: float = 0.02,
        lossy_tolerance: float = 0.15,
        timeout_seconds: int = 300,
    ) -> None:
        """Declares the check.

        The tolerances, measured with a model trained on 597 photos: the same pixels
        as PNG, BMP or GIF move no probability by 0.0001; grayscale JPEG of quality 95
        moves one by 0.04 at most, 3,000 pixels by 0.08. A Transform that stored the
        pictures as JPEG instead of PNG moved one by 0.35.

        Args:
          model: the Trainer's model, exported with `serving_default` (encoded
            pictures) and `serving_examples` (raw tf.Examples).
          examples: raw tf.Examples, the ExampleGen's output.
          code_digest: digest of the component's sources, for the cache key.
          split: the split whose pictures are sent.
          images: how many of them.
          lossless_tolerance: allowed difference of a probability from that of
            training where a request holds the same pixels.
          lossy_tolerance: the same where the request lost some of them (JPEG again,
            scaled up).
          timeout_seconds: time for loading the model and all requests.
        """
        super().__init__(
            ServingCheckSpec(
                model=model,
                examples=examples,
                blessing=Channel(type=standard_artifacts.InfraBlessing),
                code_digest=code_digest,
                split=split,
                images=images,
                lossless_tolerance=lossless_tolerance,
                lossy_tolerance=lossy_tolerance,
                timeout_seconds=timeout_seconds,
            )
        )
