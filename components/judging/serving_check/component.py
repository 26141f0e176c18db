"""ServingCheck's inputs, outputs and parameters; the executor says what it does."""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, Channel, component_spec, standard_artifacts

from components.judging.serving_check import executor


class ServingCheckSpec(component_spec.ComponentSpec):
    """What ServingCheck reads and writes."""

    PARAMETERS = {  # noqa: RUF012 (TFX's own form)
        # Not read: it makes TFX run the check again after an edit of the sources.
        "code_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        executor.MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
        executor.MODEL_RUN: component_spec.ChannelParameter(type=standard_artifacts.ModelRun),
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.TRANSFORMED: component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {  # noqa: RUF012
        executor.BLESSING: component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing),
    }


class ServingCheck(base_component.BaseComponent):
    """Blesses an exported model that answers real requests as the trained network does."""

    SPEC_CLASS = ServingCheckSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.ServingCheckExecutor)

    def __init__(
        self,
        model: BaseChannel,
        model_run: BaseChannel,
        examples: BaseChannel,
        transformed_examples: BaseChannel,
        code_digest: str,
    ) -> None:
        """Declares the check.

        Args:
          model: the Trainer's exported model.
          model_run: what the Trainer wrote beside it; has the network itself.
          examples: raw tf.Examples, ExampleGen's output.
          transformed_examples: the same images as Transform wrote them.
          code_digest: digest of the component's sources, for the cache key.
        """
        super().__init__(
            ServingCheckSpec(
                model=model,
                model_run=model_run,
                examples=examples,
                transformed_examples=transformed_examples,
                blessing=Channel(type=standard_artifacts.InfraBlessing),
                code_digest=code_digest,
            )
        )
