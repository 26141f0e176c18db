"""The models that a candidate is compared with: the one in service, and the reference."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx import types
from tfx.dsl.components.common import resolver
from tfx.types import Channel, standard_artifacts

from components.serving import versions
from schema.features import Role


def compared_models(
    model: Channel, serving_dir: Path, reference_run: str
) -> dict[Role, resolver.Resolver]:
    """Makes the nodes that find what a candidate is compared with; each puts out a `model`.

    Args:
      model: the candidate.
      serving_dir: see `ModelInService`.
      reference_run: see `ReferenceModel`.
    """
    return {
        "in_service": resolver.Resolver(
            strategy_class=ModelInService,
            config={"serving_dir": str(serving_dir)},
            candidate=model,
            model=Channel(type=standard_artifacts.Model),
        ).with_id("ModelInService"),
        "reference": resolver.Resolver(
            strategy_class=ReferenceModel,
            config={"run_id": reference_run},
            candidate=model,
            model=Channel(type=standard_artifacts.Model),
            pushed_model=Channel(type=standard_artifacts.PushedModel),
        ).with_id("ReferenceModel"),
    }


class ModelInService(resolver.ResolverStrategy):
    """Resolves the last pushed model that is still there and is not the candidate itself.

    A model that a person took out of service is none.

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
        candidate = next(iter(input_dict["candidate"]), None)
        if candidate is None:  # a gate stopped the run before it trained one
            return input_dict | {"model": []}
        others = {
            (model.id, model.mlmd_artifact.create_time_since_epoch): model
            for model in _others(input_dict)
        }
        key = (candidate.id, candidate.mlmd_artifact.create_time_since_epoch)
        found = (
            others[version.origin.key]
            for version in versions.comparable(versions.versions(self._serving_dir), key)
            if version.origin and version.origin.key in others
        )
        latest = next(found, None)
        return {"candidate": input_dict["candidate"], "model": [latest] if latest else []}


class ReferenceModel(resolver.ResolverStrategy):
    """Resolves the model that small losses of many pushes add up against.

    That is the model of the run that the plan names, or else the first that was pushed and is
    still there; none if it is the candidate itself.

    Channels: `candidate` (the model of this run), `model` (all of them) and `pushed_model`.

    Args:
      run_id: the run whose model is the reference; empty for the first that was pushed.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id

    def resolve_artifacts(
        self,
        store: metadata_store.MetadataStore,
        input_dict: dict[str, list[types.Artifact]],
    ) -> dict[str, list[types.Artifact]]:
        """Returns at most one model; see the base class."""
        models = {model.id: model for model in input_dict["model"]}
        numbers = self._of_run(store, models) if self._run_id else _pushed(store, input_dict)
        there = (
            models[number]
            for number in numbers
            if number in models and models[number].mlmd_artifact.state == mlmd.Artifact.LIVE
        )
        first = next(there, None)
        candidates = {model.id for model in input_dict["candidate"]}
        found = [first] if first and first.id not in candidates else []
        return input_dict | {"model": found}

    def _of_run(self, store: metadata_store.MetadataStore, models: Iterable[int]) -> Iterator[int]:
        for number in models:
            if self._run_id in {each.name for each in store.get_contexts_by_artifact(number)}:
                yield number


def _others(input_dict: dict[str, list[types.Artifact]]) -> list[types.Artifact]:
    """The models that are still there, but for the candidate."""
    candidates = {model.id for model in input_dict["candidate"]}
    return [
        model
        for model in input_dict["model"]
        if model.id not in candidates and model.mlmd_artifact.state == mlmd.Artifact.LIVE
    ]


def _pushed(
    store: metadata_store.MetadataStore, input_dict: dict[str, list[types.Artifact]]
) -> Iterator[int]:
    """The numbers of the models that were pushed, in the order of the pushes."""
    for pushed in sorted(input_dict["pushed_model"], key=lambda each: each.id):
        if pushed.get_int_custom_property("pushed") != 1:
            continue
        made_by = {event.execution_id for event in store.get_events_by_artifact_ids([pushed.id])}
        for event in store.get_events_by_execution_ids(made_by):
            if event.type == mlmd.Event.INPUT:
                yield event.artifact_id
