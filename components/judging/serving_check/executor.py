"""Sends real requests to the exported model in a fresh process and judges the answers.

The expected answers come from the training side: the pictures that Transform wrote, and that the
Trainer read, go through the network that the Trainer saved. The requests hold the same images as
they were before Transform. A skew between Transform and the exported model shows in the pixels
and in the answers.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from tfx.dsl.components.base import base_executor
from tfx.types import Artifact, artifact_utils
from tfx.utils import io_utils, path_utils

from components import processes
from components.examples import preprocessing
from components.judging.serving_check import probe, requests
from components.judging.serving_check.sample import Sample, draw
from components.training import model_run, network
from schema import features

# Names in the component's spec.
MODEL: Final = "model"
MODEL_RUN: Final = "model_run"
EXAMPLES: Final = "examples"
TRANSFORMED: Final = "transformed_examples"
BLESSING: Final = "blessing"

SPLIT: Final = features.EVAL  # Transform writes train and eval, and the model has learnt train

# Allowed differences of a probability from the expected one: where a request holds the same
# pixels, and where it lost some of them (compressed as JPEG again, scaled up). Measured with a
# model trained on 597 photos: the same pixels as PNG, BMP or GIF move no probability by 0.0001;
# grayscale JPEG of quality 95 moves one by 0.04 at most, 3,000 pixels by 0.08.
LOSSLESS_TOLERANCE: Final = 0.02
LOSSY_TOLERANCE: Final = 0.15
# Grey levels: resizing may round differently on another processor. JPEG instead of PNG in
# Transform, at quality 95, is off by far more in some pixel of any photo.
PIXEL_TOLERANCE: Final = 1

TIMEOUT_SECONDS: Final = 300  # for loading the model and all requests
BATCH_SIZE: Final = 8  # pictures that go through the network at once

REPORT_FILE: Final = "report.json"
LOG_FILE: Final = "probe.log"

# What the Pusher looks at, and the marker files that TFX's InfraValidator writes.
BLESSED_PROPERTY: Final = "blessed"
MARKERS: Final = {True: "INFRA_BLESSED", False: "INFRA_NOT_BLESSED"}

SUM_TOLERANCE: Final = 1e-3  # of a row of probabilities, float32


@dataclass(frozen=True)
class Case:
    """One thing that was tried, and how it went, in a sentence."""

    case: str
    passed: bool
    sentence: str


class ServingCheckExecutor(base_executor.BaseExecutor):
    """Writes report.json and an InfraBlessing that says whether every case passed."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Checks the model. A model that fails is not blessed; nothing is raised.

        Args:
          input_dict: as `component.ServingCheck` declares it.
          output_dict: `blessing`, one InfraBlessing.
          exec_properties: not used.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        model = artifact_utils.get_single_instance(input_dict[MODEL])
        trained = artifact_utils.get_single_instance(input_dict[MODEL_RUN])
        blessing = artifact_utils.get_single_instance(output_dict[BLESSING])
        os.makedirs(blessing.uri, exist_ok=True)
        before, after = (
            Path(artifact_utils.get_split_uri(input_dict[name], SPLIT))
            for name in (EXAMPLES, TRANSFORMED)
        )
        sample = draw(before, after)
        if sample.examples:
            cases = check_model(
                path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model)),
                model_run.read(Path(trained.uri)),
                sample,
                Path(blessing.uri) / LOG_FILE,
            )
        else:
            cases = [Case("pictures", False, f"The {SPLIT} split has no picture to send.")]
        passed = all(case.passed for case in cases)
        report = {"passed": passed, "cases": [asdict(case) for case in cases]}
        io_utils.write_string_file(
            os.path.join(blessing.uri, REPORT_FILE), json.dumps(report, indent=2) + "\n"
        )
        io_utils.write_string_file(os.path.join(blessing.uri, MARKERS[passed]), "")
        blessing.set_int_custom_property(BLESSED_PROPERTY, int(passed))


def check_model(
    model_dir: str, trained: model_run.ModelRun, sample: Sample, log: Path
) -> list[Case]:
    """Sends every request to a fresh process and judges what comes back.

    Args:
      model_dir: folder of the SavedModel.
      trained: the network that was exported.
      sample: the pictures to send, at least one.
      log: file for what the process prints.

    Returns:
      A case for the pixels, one for the process, and one for each request.
    """
    asked = requests.requests_of(sample.examples, sample.jpegs)
    with tempfile.TemporaryDirectory(prefix="serving_check_") as folder:
        work = Path(folder)
        _write_requests(asked, work)
        trouble = _run_probe(model_dir, work, log)
        answers = _read_answers(work)
    if trouble:
        unanswered = [request for request in asked if request.name not in answers]
        during = f" at {unanswered[0].name}" if unanswered and answers else ""
        process = Case("process", False, f"The serving process {trouble}{during}.")
    else:
        process = Case("process", True, "The serving process loaded the model and answered.")
    answers[requests.TRAINING] = {"outputs": training_outputs(trained, sample)}
    return [
        judge_pixels(sample, trained.fit),
        process,
        *(judge(request, answers) for request in asked),
    ]


def judge_pixels(sample: Sample, fit: str) -> Case:
    """Compares what Transform wrote with what serving makes of the same stored pictures."""
    size = sample.transformed.shape[1]
    served = [
        preprocessing.fit_image(preprocessing.decode_image(tf.constant(jpeg)), size, fit)
        for jpeg in sample.jpegs
    ]
    difference = int(np.abs(np.array(served, int) - sample.transformed).max())
    return Case(
        "pixels",
        difference <= PIXEL_TOLERANCE,
        f"Pictures that serving decodes and fits differ from those that Transform wrote by up to"
        f" {difference} grey levels, where {PIXEL_TOLERANCE} is allowed.",
    )


def training_outputs(trained: model_run.ModelRun, sample: Sample) -> dict[str, Any]:
    """The trained network's answers for the pictures that Transform wrote.

    Returns:
      `probabilities` [images, classes] and `unsure` [images], in the form of a signature's outputs.
    """
    probabilities = network.load(trained.keras_model).predict(
        sample.transformed.astype(np.float32), batch_size=BATCH_SIZE, verbose=0
    )
    return {
        "probabilities": probabilities.tolist(),
        features.UNSURE: trained.unsure(probabilities).tolist(),
    }


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


def _run_probe(model_dir: str, work: Path, log: Path) -> str | None:
    """Runs the probe; returns what went wrong, as the rest of a sentence, or None."""
    # -I keeps the project off the path: the process has no more than a server has.
    command = [sys.executable, "-I", str(probe.__file__), model_dir, str(work)]
    with log.open("wb") as output:
        try:
            done = subprocess.run(  # noqa: S603 (our own script)
                command,
                env=processes.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return f"did not finish within {TIMEOUT_SECONDS} s and was stopped"
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


def judge(request: requests.Request, answers: Mapping[str, dict[str, Any]]) -> Case:
    """Says whether an answer is what the request should get.

    Args:
      request: what was sent.
      answers: what came back, by request: `outputs` or `error`; and the outputs of
        `training_outputs` as `requests.TRAINING`.

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
    fault = _thresholds_differ(answer["outputs"], reference)
    if fault:
        return case(False, f"got another threshold than {request.like}: {fault}")
    found = np.array(answer["outputs"]["probabilities"], float)
    # Reference rows repeat where the request sends the same pictures again.
    difference = float(np.abs(found - np.resize(reference["probabilities"], found.shape)).max())
    tolerance = LOSSY_TOLERANCE if request.lossy else LOSSLESS_TOLERANCE
    return case(
        difference <= tolerance,  # False for NaN, too
        f"differ{'s' if request.what.startswith('A ') else ''} from {request.like} by up to "
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
    """Says where no single threshold separates the sure rows from the unsure ones.

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
