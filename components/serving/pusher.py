"""Pusher whose versions are whole or not there.

TFX's copies into the version's own folder, file by file: a server may see it half
written, a killed push leaves it so, and a clock that was set back gives a new model
a lower number than the one in service.
"""

from pathlib import Path
from typing import Any

from google.protobuf import json_format
from tfx import components, types
from tfx.components.pusher import executor as tfx_executor
from tfx.dsl.components.base import executor_spec
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils

from components.serving import versions


class Executor(tfx_executor.Executor):
    """Pushes a blessed model as TFX's executor does, but in one step."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Archives a copy and pushes to the file system; see TFX's executor."""
        self._log_startup(input_dict, output_dict, exec_properties)
        pushed = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.PUSHED_MODEL_KEY]
        )
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        destination = json_format.Parse(
            exec_properties[standard_component_specs.PUSH_DESTINATION_KEY],
            pusher_pb2.PushDestination(),
        )
        model = self.GetModelPath(input_dict)
        io_utils.copy_dir(model, pushed.uri)
        version = versions.push(Path(model), Path(destination.filesystem.base_directory))
        self._MarkPushed(pushed, pushed_destination=str(version), pushed_version=version.name)


class Pusher(components.Pusher):
    """TFX's Pusher with this executor."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
