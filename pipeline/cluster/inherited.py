"""What the processes of a job inherit: written by `pipeline.cluster.job`, read by the Beam runners.

It travels in the environment, not in Beam's options: those are part of TFX's cache
key, and a run on other nodes is to go on from the same finished components.
"""

import os
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict


class Inherited(BaseModel):
    """Something that the processes of a job know.

    Attributes:
      VARIABLE: that it travels in.
    """

    model_config = ConfigDict(frozen=True)

    VARIABLE: ClassVar[str]

    @classmethod
    def of_this_job(cls) -> Self:
        """Reads it from the environment of a process of the job.

        Raises:
          RuntimeError: this is no process of a job.
        """
        content = os.environ.get(cls.VARIABLE)
        if content is None:
            raise RuntimeError("This Beam runner works inside a job of cluster_runner.py only.")
        return cls.model_validate_json(content)

    def publish(self) -> None:
        """Puts it into the environment of the processes to come."""
        os.environ[self.VARIABLE] = self.model_dump_json()
