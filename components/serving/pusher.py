"""Pusher: puts a model that every gate has passed into service, whole or not at all.

TFX's Pusher copies into the version's own folder, file by file: a server may see half of
it, a killed push leaves it so, and a clock that was set back gives a new model a lower
number than the one in service. It also takes its last push from the cache, whichever
model has gone into service since.
"""

from pathlib import Path

from tfx.components.util import model_utils
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components.judging.acceptance_gate import DecisionArtifact
from components.serving import versions


@component
def Pusher(
    model: InputArtifact[standard_artifacts.Model],
    model_blessing: InputArtifact[standard_artifacts.ModelBlessing],
    infra_blessing: InputArtifact[standard_artifacts.InfraBlessing],
    acceptance_decision: InputArtifact[DecisionArtifact],
    pushed_model: OutputArtifact[standard_artifacts.PushedModel],
    serving_dir: Parameter[str],
    run_id: Parameter[str],
) -> None:
    """Pushes the model unless it is in service already, or a person has to decide.

    A person has to where the AcceptanceGate says so, or took the model out of service before.

    The name of the run is among its settings, so that no push is taken from the cache.

    Args:
      model: the candidate.
      model_blessing: the Evaluator's.
      infra_blessing: the ServingCheck's.
      acceptance_decision: the AcceptanceGate's.
      pushed_model: says in the properties that TFX's Pusher sets whether (`pushed`, 0 or 1)
        and where (`pushed_destination`, `pushed_version`) the model is; and in one of our own,
        `awaits_sign_off`, whether a person has to decide that.
      serving_dir: the folder of versions that a server reads.
      run_id: the run that pushes.
    """
    if not (
        model_utils.is_model_blessed(model_blessing)
        and model_utils.is_infra_validated(infra_blessing)
        and acceptance_decision.passed
    ):
        pushed_model.set_int_custom_property("pushed", 0)
        return
    base, created = Path(serving_dir), model.mlmd_artifact.create_time_since_epoch
    served = versions.versions(base)
    *_, version = (None, *served)
    if version is None or not version.holds(model.id, created):
        origin = versions.Origin(run_id=run_id, model_id=model.id, model_created=created)
        if acceptance_decision.needs_sign_off or origin.key in versions.withdrawn(served):
            pushed_model.set_int_custom_property("pushed", 0)
            pushed_model.set_int_custom_property("awaits_sign_off", 1)
            return
        version = versions.push(Path(path_utils.serving_model_path(model.uri)), base, origin)
    pushed_model.set_int_custom_property("pushed", 1)
    pushed_model.set_string_custom_property("pushed_destination", str(version.folder))
    pushed_model.set_string_custom_property("pushed_version", str(version.number))
