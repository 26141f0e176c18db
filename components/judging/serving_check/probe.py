"""Loads an exported model as a server does and answers requests from files.

Runs as a script in a process of its own: `probe.py MODEL_DIR WORK_DIR`. Like a server, it has
TensorFlow but nothing of this project. WORK_DIR/requests.jsonl has one request in each line,
`{"name": ..., "signature": ..., "files": [...]}`, where the files are the payloads. Each answer
is appended to WORK_DIR/answers.jsonl at once, so that a crash keeps those before it:
`{"name": ..., "outputs": {...}}` or `{"name": ..., "error": ...}`.
"""

import json
import sys
from pathlib import Path
from typing import Any


def main(model_dir: str, work_dir: str) -> None:
    """Answers the requests in the work folder, in order.

    Raises:
      Exception: whatever TensorFlow raises when it cannot load the model. The error of a
        request is not raised: it is the answer.
    """
    import tensorflow as tf

    work = Path(work_dir)
    model = tf.saved_model.load(model_dir)
    with (work / "answers.jsonl").open("w") as answers:
        for line in (work / "requests.jsonl").read_text().splitlines():
            request = json.loads(line)
            answers.write(json.dumps(_answer(tf, model, request)) + "\n")
            answers.flush()


def _answer(tf: Any, model: Any, request: dict[str, Any]) -> dict[str, Any]:
    try:
        signature = model.signatures[request["signature"]]
        (argument,) = signature.structured_input_signature[1]
        payloads = [Path(file).read_bytes() for file in request["files"]]
        outputs = signature(**{argument: tf.constant(payloads, tf.string)})
    except Exception as error:  # a server answers a bad request with its error
        return {"name": request["name"], "error": _reason(error)}
    return {
        "name": request["name"],
        "outputs": {name: _plain(value.numpy().tolist()) for name, value in outputs.items()},
    }


def _reason(error: Exception) -> str:
    """The line with the cause: TensorFlow puts it below the stack and above the graph's nodes."""
    lines = [line.strip() for line in str(error).splitlines()]
    causes = [line for line in lines if line and not line.startswith("[[")]
    return f"{type(error).__name__}: {causes[-1] if causes else ''}"[:500]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


if __name__ == "__main__":
    main(*sys.argv[1:])
