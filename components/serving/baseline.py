"""The model in service, which the Evaluator compares a candidate with."""

from pathlib import Path

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx import types
from tfx.dsl.components.common import resolver

from components.serving import versions


class ModelInService(resolver.ResolverStrategy):
    """Resolves the last pushed model that is still there and is not the candidate itself.

    TFX's LatestBlessedModelStrategy takes any model that the Evaluator blessed, also one that
    another gate refused, and hands a rerun its own model as baseline: the Evaluator's inputs
    then change although nothing did.

    Channels: `candidate` (the model of this run) and `model` (all of them).

    Args:
      serving_dir: the folder of versions that a server reads.
    """

    def __init__(self, serving_dir: str) -> None:
        self._serving_dir = Path(serving_dir)

    def resolve_artifacts(
        self,
        store: metadata_store.MetadataStore,
        input_dict: dict[str, list[types.Artifact]],
    ) -> dict[str, list[types.Artifact]]:
        """Returns at most one model; see the base class."""
        candidates = {model.id for model in input_dict["candidate"]}
        others = [
            model
            for model in input_dict["model"]
            if model.id not in candidates and model.mlmd_artifact.state == mlmd.Artifact.LIVE
        ]
        found = (
            model
            for version in reversed(versions.versions(self._serving_dir))
            for model in others
            if version.holds(model.id, model.mlmd_artifact.create_time_since_epoch)
        )
        latest = next(found, None)
        return {"candidate": input_dict["candidate"], "model": [latest] if latest else []}
