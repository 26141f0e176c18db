"""Events from the process that works to the process that shows progress.

`pipeline/process/launcher.py` starts the worker with a pipe and names its descriptor in
the environment. Without it (a component under test, a Beam worker on another
host) events go nowhere.
"""

import json
import os
from typing import Any, Final

EVENTS_FD: Final = "LOOKDEEP_EVENTS_FD"


def emit(event: str, **fields: Any) -> None:
    """Writes one event as a line of JSON to the watching process, if there is one.

    Args:
      event: what happened, for example `epoch`.
      **fields: JSON-serialisable details. The line has to stay below PIPE_BUF
        (4,096 bytes), so that writes from several threads never mix.
    """
    descriptor = os.environ.get(EVENTS_FD)
    if descriptor is None:
        return
    line = json.dumps({"event": event, **fields}) + "\n"
    os.write(int(descriptor), line.encode())
