"""CuratedSchema: the checked-in schema as an artifact of the run."""

import os
import shutil
from typing import Final

from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

FILE_NAME: Final = "schema.pbtxt"  # as every reader of a Schema artifact expects it


@component
def CuratedSchema(
    schema_file: Parameter[str],
    sha256: Parameter[str],
    schema: OutputArtifact[standard_artifacts.Schema],
) -> None:
    """Copies the curated schema into the run's artifacts.

    TFX's ImportSchemaGen does the same, but its cache key has the path of the file, not its
    content.

    Args:
      schema_file: path of schema.pbtxt.
      sha256: its digest; part of the cache key.
      schema: the copy.
    """
    del sha256
    shutil.copyfile(schema_file, os.path.join(schema.uri, FILE_NAME))
