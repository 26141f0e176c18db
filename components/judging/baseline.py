"""Which model the Evaluator compares a candidate with."""

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.common import resolver


class LatestOtherBlessedModel(resolver.ResolverStrategy):
    """Resolves the latest blessed model that is not the candidate itself and is still there.

    TFX's LatestBlessedModelStrategy hands a rerun its own model as baseline: the
    Evaluator's inputs then change although nothing did, and the same model is
    evaluated and pushed again.

    Channels: `candidate` (the model of this run), `model` and `model_blessing`
    (all of them).
    """

    def resolve_artifacts(
        self,
        store: metadata_store.MetadataStore,
        input_dict: dict[str, list[types.Artifact]],
    ) -> dict[str, list[types.Artifact]]:
        """Returns at most one model with its blessing; see the base class."""
        candidates = {artifact.id for artifact in input_dict["candidate"]}
        blessings = {
            blessing.get_int_custom_property(
                constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY
            ): blessing
            for blessing in input_dict["model_blessing"]
            if blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY) == 1
        }
        blessed = [
            model
            for model in input_dict["model"]
            if model.id in blessings
            and model.id not in candidates
            and model.mlmd_artifact.state == mlmd.Artifact.LIVE
        ]
        latest = max(blessed, key=lambda model: model.id, default=None)
        return {
            "candidate": input_dict["candidate"],
            "model": [latest] if latest else [],
            "model_blessing": [blessings[latest.id]] if latest else [],
        }
