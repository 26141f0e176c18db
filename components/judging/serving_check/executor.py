"""Sends real requests to the exported model in a fresh process and judges the answers.

The training side is the signature that takes raw tf.Examples: its pictures go
through the Transform graph, as those of the Trainer and the Evaluator did. The
serving side is the signature that takes encoded pictures. What they say about
the same picture has to be the same.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from tfx.dsl.components.base import base_executor
from tfx.types import Artifact, artifact_utils
from tfx.utils import io_utils, path_utils

from components.examples import record_reader
from components.judging.serving_check import probe, requests
from schema import features

# Names in the component's spec.
MODEL: Final = "model"
EXAMPLES: Final = "examples"
BLESSING: Final = "blessing"
SPLIT: Final = "split"
IMAGES: Final = "images"
LOSSLESS_TOLERANCE: Final = "lossless_tolerance"
LOSSY_TOLERANCE: Final = "lossy_tolerance"
TIMEOUT: Final = "timeout_seconds"

REPORT_FILE: Final = "report.json"
LOG_FILE: Final = "probe.log"

# What the Pusher looks at, and the marker files that TFX's InfraValidator writes.
BLESSED_PROPERTY: Final = "blessed"
MARKERS: Final = {True: "INFRA_BLESSED", False: "INFRA_NOT_BLESSED"}

SUM_TOLERANCE: Final = 1e-3  # of a row of probabilities, float32
SAMPLE_SEED: Final = 0


@dataclass(frozen=True)
class Case:
    """One thing that was tried, and how it went, in a sentence."""

    case: str
    passed: bool
    sentence: str


class Executor(base_executor.BaseExecutor):
    """Writes report.json and an InfraBlessing that says whether every case passed."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Checks the model. A model that fails is not blessed; nothing is raised.

        Args:
          input_dict: `model`, and `examples` with the split to send.
          output_dict: `blessing`, one InfraBlessing.
          exec_properties: as `component.ServingCheck` declares them.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        model = artifact_utils.get_single_instance(input_dict[MODEL])
        blessing = artifact_utils.get_single_instance(output_dict[BLESSING])
        os.makedirs(blessing.uri, exist_ok=True)
        examples = sample_examples(
            artifact_utils.get_split_uris(input_dict[EXAMPLES], exec_properties[SPLIT]),
            exec_properties[IMAGES],
        )
        if examples:
            model_dir = path_utils.serving_model_path(
                model.uri, path_utils.is_old_model_artifact(model)
            )
            cases = check_model(model_dir, examples, exec_properties, Path(blessing.uri) / LOG_FILE)
        else:
            split = exec_properties[SPLIT]
            cases = [Case("pictures", False, f"The {split} split has no picture to send.")]
        passed = all(case.passed for case in cases)
        report = {"passed": passed, "cases": [asdict(case) for case in cases]}
        io_utils.write_string_file(
            os.path.join(blessing.uri, REPORT_FILE), json.dumps(report, indent=2) + "\n"
        )
        io_utils.write_string_file(os.path.join(blessing.uri, MARKERS[passed]), "")
        blessing.set_int_custom_property(BLESSED_PROPERTY, int(passed))


def sample_examples(split_uris: Sequence[str], count: int) -> list[bytes]:
    """Draws serialized tf.Examples from a split, each with the same chance, in one pass.

    Args:
      split_uris: folders of gzipped TFRecords.
      count: how many at most.

    Returns:
      The records; the same ones for the same files.
    """
    files = sorted(file for uri in split_uris for file in tf.io.gfile.glob(f"{uri}/*"))
    chance = random.Random(SAMPLE_SEED)  # noqa: S311 (a sample, no secret)
    drawn: list[bytes] = []
    for seen, record in enumerate(record_reader.read(files).as_numpy_iterator()):
        if seen < count:
            drawn.append(record)
        elif (position := chance.randrange(seen + 1)) < count:
            drawn[position] = record
    return drawn


def check_model(
    model_dir: str, examples: Sequence[bytes], settings: dict[str, Any], log: Path
) -> list[Case]:
    """Sends every request to a fresh process and judges what comes back.

    Args:
      model_dir: folder of the SavedModel.
      examples: serialized raw tf.Examples, at least one.
      settings: tolerances and timeout, by the names in the component's spec.
      log: file for what the process prints.

    Returns:
      A case for the process itself, and one for each request.
    """
    jpegs = [
        tf.train.Example.FromString(example).features.feature[features.IMAGE].bytes_list.value[0]
        for example in examples
    ]
    asked = requests.requests_of(examples, jpegs)
    with tempfile.TemporaryDirectory(prefix="serving_check_") as folder:
        work = Path(folder)
        _write_requests(asked, work)
        trouble = _run_probe(model_dir, work, settings[TIMEOUT], log)
        answers = _read_answers(work)
    if trouble:
        unanswered = [request for request in asked if request.name not in answers]
        during = f" at {unanswered[0].name}" if unanswered and answers else ""
        process = Case("process", False, f"The serving process {trouble}{during}.")
    else:
        process = Case("process", True, "The serving process loaded the model and answered.")
    tolerances = {False: settings[LOSSLESS_TOLERANCE], True: settings[LOSSY_TOLERANCE]}
    return [process, *(judge(request, answers, tolerances[request.lossy]) for request in asked)]


def _write_requests(asked: Sequence[requests.Request], work: Path) -> None:
    with (work / "requests.jsonl").open("w") as lines:
        for request in asked:
            files = []
            for number, payload in enumerate(request.payloads):
                file = work / f"{request.name}_{number}"
                file.write_bytes(payload)
                files.append(str(file))
            entry = {"name": request.name, "signature": request.signature, "files": files}
            lines.write(json.dumps(entry) + "\n")


def _run_probe(model_dir: str, work: Path, timeout: int, log: Path) -> str | None:
    """Runs the probe; returns what went wrong, as the rest of a sentence, or None."""
    # -P keeps this folder off the path: the process has what a server has, no more.
    command = [sys.executable, "-P", str(probe.__file__), model_dir, str(work)]
    with log.open("wb") as output:
        try:
            done = subprocess.run(  # noqa: S603 (our own script)
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            return f"did not finish within {timeout} s and was stopped"
    if done.returncode < 0:
        return f"was killed by {signal.Signals(-done.returncode).name}"
    if done.returncode > 0:
        lines = log.read_text(errors="replace").strip().splitlines()
        last = lines[-1] if lines else "it printed nothing"
        return f"failed with exit status {done.returncode} ({last})"
    return None


def _read_answers(work: Path) -> dict[str, dict[str, Any]]:
    file = work / "answers.jsonl"
    if not file.exists():
        return {}
    # A process that was killed while writing leaves a line without its end.
    lines = [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return {answer["name"]: answer for answer in map(json.loads, lines)}


def judge(request: requests.Request, answers: dict[str, dict[str, Any]], tolerance: float) -> Case:
    """Says whether an answer is what the request should get.

    Args:
      request: what was sent.
      answers: what came back, by request: `outputs` or `error`.
      tolerance: allowed difference of a probability from that of `request.like`.

    Returns:
      The case, with a sentence for people.
    """

    def case(passed: bool, sentence: str) -> Case:
        return Case(request.name, passed, f"{request.what} {sentence}.")

    answer = answers.get(request.name)
    if answer is None:
        return case(False, "got no answer")
    if request.refused:
        return (
            case(True, "was refused, as it has to be")
            if "error" in answer or all(answer["outputs"].get(features.REFUSED, [False]))
            else case(False, "got an answer instead of being refused")
        )
    if "error" in answer:
        return case(False, f"got an error instead of an answer: {answer['error']}")
    fault = _fault(answer["outputs"], len(request.payloads), request.signature)
    if fault:
        return case(False, f"got a malformed answer: {fault}")
    if request.like is None:
        return case(True, "got a well-formed answer")
    reference = answers.get(request.like, {}).get("outputs", {})
    if not reference.get("probabilities") or not reference.get(features.UNSURE):
        return case(False, f"cannot be compared, since {request.like} got no answer")
    beside = "training" if request.like == requests.TRAINING else request.like
    fault = _thresholds_differ(answer["outputs"], reference)
    if fault:
        return case(False, f"got another threshold than {beside}: {fault}")
    found = np.array(answer["outputs"]["probabilities"], float)
    # Reference rows repeat where the request sends the same pictures again.
    difference = float(np.abs(found - np.resize(reference["probabilities"], found.shape)).max())
    return case(
        difference <= tolerance,  # False for NaN, too
        f"differ{'s' if request.what.startswith('A ') else ''} from {beside} by up to "
        f"{difference:.4f} in a probability, where {tolerance:g} is allowed",
    )


def _fault(outputs: dict[str, Any], rows: int, signature: str) -> str | None:
    """What is wrong with the form of an answer, or None."""
    probabilities = np.array(outputs.get("probabilities", []), float)
    expected = (rows, len(features.POSTURES))
    if probabilities.shape != expected:
        return f"probabilities have the shape {probabilities.shape}, not {expected}"
    if not np.isfinite(probabilities).all():
        return "a probability is not a finite number"
    if np.abs(probabilities.sum(axis=1) - 1).max() > SUM_TOLERANCE or probabilities.min() < 0:
        return "probabilities are negative or do not add up to 1"
    unsure = outputs.get(features.UNSURE, [])
    if len(unsure) != rows or not all(isinstance(doubt, bool) for doubt in unsure):
        return "it does not say of each picture whether it is unsure"
    if signature != requests.SERVING_DEFAULT:
        return None
    if outputs.get("label") != [features.POSTURES[i] for i in probabilities.argmax(axis=1)]:
        return "a label is not that of the largest probability"
    confidence = np.array(outputs.get("confidence", []), float)
    if confidence.shape != (rows,) or not np.allclose(confidence, probabilities.max(axis=1)):
        return "a confidence is not the largest probability"
    return None


def _thresholds_differ(*answers: dict[str, Any]) -> str | None:
    """Says where no one threshold parts the sure from the unsure rows of all answers.

    A picture whose confidence is next to the threshold may rightly be sure in one answer
    and unsure in the other, so rows are not compared one by one.
    """
    rows = [
        (max(probabilities), doubt)
        for outputs in answers
        for probabilities, doubt in zip(
            outputs["probabilities"], outputs[features.UNSURE], strict=False
        )
    ]
    highest = max((confidence for confidence, doubt in rows if doubt), default=-np.inf)
    lowest = min((confidence for confidence, doubt in rows if not doubt), default=np.inf)
    if highest < lowest:
        return None
    return f"unsure at a confidence of {highest:.4f}, sure at {lowest:.4f}"
