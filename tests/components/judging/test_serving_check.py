"""Runs ServingCheck on small real SavedModels, sound and faulty, and obeys it with TFX's Pusher."""

import io
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tfx.components import Pusher
from tfx.components.pusher.executor import Executor as PusherExecutor
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from components.judging.serving_check import executor, probe, requests
from components.judging.serving_check.component import ServingCheck
from schema import features

IMAGES = 5
THRESHOLD = 0.3  # everything is sure: no fault is hidden behind another
SETTINGS: dict[str, Any] = {
    executor.SPLIT: features.TEST,
    executor.IMAGES: 4,
    executor.LOSSLESS_TOLERANCE: 0.02,
    executor.LOSSY_TOLERANCE: 0.15,
    executor.TIMEOUT: 180,
}


class Served(tf.Module):
    """Classifies pictures by 32 x 32 means of colour; the faults are switched on by name."""

    def __init__(self, faults: frozenset[str] = frozenset()) -> None:
        super().__init__()
        keras.utils.set_random_seed(1)
        self.model = keras.Sequential(
            [
                keras.Input((32, 32, 3)),
                keras.layers.Rescaling(1 / 255),
                keras.layers.AveragePooling2D(8),
                keras.layers.Flatten(),
                keras.layers.Dense(3, activation="softmax"),
            ]
        )
        self._faults = faults

    def _picture(self, encoded: tf.Tensor) -> tf.Tensor:
        if "makes up answers" in self._faults:
            known = tf.io.is_jpeg(encoded) | tf.strings.regex_full_match(
                tf.strings.substr(encoded, 0, 3), r"\x89PN|BM.|GIF"
            )
            encoded = tf.where(known, encoded, tf.io.encode_png(tf.zeros([1, 1, 3], tf.uint8)))
        if "refuses PNG" in self._faults:
            is_png = tf.strings.substr(encoded, 1, 3) == b"PNG"
            tf.debugging.assert_equal(is_png, False, message="PNG is not supported")
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        image = tf.image.resize(tf.ensure_shape(image, [None, None, 3]), [32, 32], antialias=True)
        return 255 - image if "inverts" in self._faults else image

    def _unsure(self, probabilities: tf.Tensor, threshold: float) -> tf.Tensor:
        return tf.reduce_max(probabilities, axis=-1) < threshold

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serving_default(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.map_fn(self._picture, image_bytes, fn_output_signature=tf.float32)
        probabilities = self.model(tf.reshape(images, [-1, 32, 32, 3]))
        top = tf.argmax(probabilities, axis=-1)
        if "NaN for BMP" in self._faults:
            is_bmp = tf.strings.substr(image_bytes, 0, 2) == b"BM"
            probabilities = tf.where(is_bmp[:, None], np.float32("nan"), probabilities)
        if "wrong label for GIF" in self._faults:
            is_gif = tf.strings.substr(image_bytes, 0, 3) == b"GIF"
            top = tf.where(is_gif, (top + 1) % 3, top)
        return {
            "probabilities": probabilities,
            "label": tf.gather(tf.constant(features.POSTURES), top),
            "confidence": tf.reduce_max(probabilities, axis=-1),
            "unsure": self._unsure(
                probabilities, 1.1 if "another threshold" in self._faults else THRESHOLD
            ),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serving_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(
            examples, {features.IMAGE: tf.io.FixedLenFeature([], tf.string)}
        )

        def decode(jpeg: tf.Tensor) -> tf.Tensor:
            image = tf.io.decode_jpeg(jpeg, channels=3)
            return tf.image.resize(image, [32, 32], antialias=True)

        images = tf.map_fn(decode, parsed[features.IMAGE], fn_output_signature=tf.float32)
        probabilities = self.model(tf.reshape(images, [-1, 32, 32, 3]))
        return {"probabilities": probabilities, "unsure": self._unsure(probabilities, THRESHOLD)}


def export(folder: Path, *faults: str) -> standard_artifacts.Model:
    """Writes a model with the given faults as the Trainer's artifact."""
    served = Served(frozenset(faults))
    signatures = {
        requests.SERVING_DEFAULT: served.serving_default,
        requests.SERVING_EXAMPLES: served.serving_examples,
    }
    tf.saved_model.save(served, str(folder / "Format-Serving"), signatures=signatures)
    artifact = standard_artifacts.Model()
    artifact.uri = str(folder)
    artifact.set_string_custom_property("tfx_version", "1.16.0")
    return artifact


def picture(seed: int) -> bytes:
    """A JPEG of soft coloured patches, 160 x 120."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(patches).resize((160, 120), Image.Resampling.BICUBIC).save(
        buffer, "JPEG", quality=95
    )
    return buffer.getvalue()


def serialized(seed: int) -> bytes:
    feature = {
        features.IMAGE: tf.train.Feature(bytes_list=tf.train.BytesList(value=[picture(seed)]))
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def write_split(folder: Path, count: int) -> standard_artifacts.Examples:
    (folder / "Split-test").mkdir(parents=True)
    path = str(folder / "Split-test" / "data.gz")
    with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for seed in range(count):
            writer.write(serialized(seed))
    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder)
    artifact.split_names = json.dumps([features.TEST])
    return artifact


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> standard_artifacts.Examples:
    return write_split(tmp_path_factory.mktemp("examples"), IMAGES)


@pytest.fixture(scope="module")
def sound_model(tmp_path_factory: pytest.TempPathFactory) -> standard_artifacts.Model:
    return export(tmp_path_factory.mktemp("sound"))


def check(
    model: standard_artifacts.Model, examples: standard_artifacts.Examples, folder: Path
) -> tuple[standard_artifacts.InfraBlessing, dict[str, Any]]:
    """Runs the executor; returns its blessing and the report's cases by name."""
    blessing = standard_artifacts.InfraBlessing()
    blessing.uri = str(folder / "blessing")
    executor.Executor().Do(
        {executor.MODEL: [model], executor.EXAMPLES: [examples]},
        {executor.BLESSING: [blessing]},
        SETTINGS | {"code_digest": ""},
    )
    report = json.loads((folder / "blessing" / executor.REPORT_FILE).read_text())
    assert report["passed"] == all(case["passed"] for case in report["cases"])
    return blessing, {case["case"]: case for case in report["cases"]}


def push(
    model: standard_artifacts.Model, blessing: standard_artifacts.InfraBlessing, folder: Path
) -> list[Path]:
    """Runs TFX's Pusher; returns the versions in the serving folder."""
    pushed = standard_artifacts.PushedModel()
    pushed.uri = str(folder / "pushed")
    serving = folder / "serving"
    destination = pusher_pb2.PushDestination(
        filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(serving))
    )
    PusherExecutor().Do(
        {"model": [model], "infra_blessing": [blessing]},
        {"pushed_model": [pushed]},
        {"push_destination": proto_utils.proto_to_json(destination)},
    )
    return list(serving.glob("*"))


def failed(cases: dict[str, Any]) -> set[str]:
    return {name for name, case in cases.items() if not case["passed"]}


def test_a_sound_model_is_blessed_and_pushed_by_a_pipeline(
    sound_model: standard_artifacts.Model,
    examples: standard_artifacts.Examples,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    model_importer = Importer(
        source_uri=sound_model.uri,
        artifact_type=standard_artifacts.Model,
        custom_properties={"tfx_version": "1.16.0"},
    ).with_id("model")
    examples_importer = Importer(
        source_uri=examples.uri,
        artifact_type=standard_artifacts.Examples,
        properties={"split_names": examples.split_names},
    ).with_id("examples")
    checked = ServingCheck(
        model=model_importer.outputs["result"],
        examples=examples_importer.outputs["result"],
        code_digest="",
        images=SETTINGS[executor.IMAGES],
    )
    pusher = Pusher(
        model=model_importer.outputs["result"],
        infra_blessing=checked.outputs["blessing"],
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(
                base_directory=str(tmp_path / "serving")
            )
        ),
    )
    LocalDagRunner().run(
        pipeline.Pipeline(
            pipeline_name="serving_check",
            pipeline_root=str(tmp_path / "root"),
            components=[model_importer, examples_importer, checked, pusher],
            metadata_connection_config=metadata.sqlite_metadata_connection_config(
                str(tmp_path / "metadata.db")
            ),
        )
    )

    (report_file,) = (tmp_path / "root").rglob(executor.REPORT_FILE)
    report = json.loads(report_file.read_text())
    assert [case["sentence"] for case in report["cases"] if not case["passed"]] == []
    assert report["passed"]
    assert (report_file.parent / "INFRA_BLESSED").exists()
    assert len(list((tmp_path / "serving").glob("*/saved_model.pb"))) == 1
    assert capfd.readouterr().out == ""


def test_faults_are_named_by_format_and_nothing_is_pushed(
    examples: standard_artifacts.Examples, tmp_path: Path
) -> None:
    model = export(tmp_path / "model", "NaN for BMP", "wrong label for GIF", "refuses PNG")
    blessing, cases = check(model, examples, tmp_path)

    assert cases["process"]["passed"]
    assert cases["stored_jpeg"]["passed"]
    assert cases["after_bad_requests"]["passed"]
    assert failed(cases) == {
        "png",
        "rgba_png",
        "bmp",
        "gif",
        "tiny",
        "mixed_batch",
        # Neither can be compared without the PNG it is compared with.
        "gif_reference",
        "gray_reference",
        "gray_png",
        "gray_jpeg",
    }
    assert "PNG is not supported" in cases["png"]["sentence"]
    assert cases["bmp"]["sentence"].endswith("a probability is not a finite number.")
    assert cases["gif"]["sentence"].endswith("a label is not that of the largest probability.")
    assert (Path(blessing.uri) / "INFRA_NOT_BLESSED").exists()
    assert push(model, blessing, tmp_path) == []


def test_skew_and_made_up_answers_are_refused(
    examples: standard_artifacts.Examples, tmp_path: Path
) -> None:
    model = export(tmp_path / "model", "inverts", "makes up answers")
    blessing, cases = check(model, examples, tmp_path)

    assert {"stored_jpeg", "png", "bmp", "batch_of_1", "batch_of_32"} <= failed(cases)
    assert "differ from training by up to" in cases["stored_jpeg"]["sentence"]
    assert {"garbage", "empty"} <= failed(cases)
    assert cases["garbage"]["sentence"].endswith("got an answer instead of being refused.")
    assert cases["truncated"]["passed"]
    assert push(model, blessing, tmp_path) == []


def test_an_export_with_another_threshold_is_refused(
    examples: standard_artifacts.Examples, tmp_path: Path
) -> None:
    model = export(tmp_path / "model", "another threshold")
    blessing, cases = check(model, examples, tmp_path)
    assert {"stored_jpeg", "png", "large", "mixed_batch"} <= failed(cases)
    assert "got another threshold than training: unsure at" in cases["png"]["sentence"]
    assert push(model, blessing, tmp_path) == []


def test_a_model_that_does_not_load_is_a_verdict(
    sound_model: standard_artifacts.Model, examples: standard_artifacts.Examples, tmp_path: Path
) -> None:
    folder = tmp_path / "model" / "Format-Serving"
    folder.mkdir(parents=True)
    whole = (Path(sound_model.uri) / "Format-Serving" / "saved_model.pb").read_bytes()
    (folder / "saved_model.pb").write_bytes(whole[: len(whole) // 2])
    model = standard_artifacts.Model()
    model.uri = str(folder.parent)
    model.set_string_custom_property("tfx_version", "1.16.0")

    blessing, cases = check(model, examples, tmp_path)
    assert failed(cases) == set(cases)
    assert "failed with exit status 1" in cases["process"]["sentence"]
    assert cases["png"]["sentence"] == "PNGs got no answer."
    assert push(model, blessing, tmp_path) == []


def test_an_empty_split_is_a_verdict(sound_model: standard_artifacts.Model, tmp_path: Path) -> None:
    blessing, cases = check(sound_model, write_split(tmp_path / "none", 0), tmp_path)
    assert cases["pictures"]["sentence"] == "The test split has no picture to send."
    assert push(sound_model, blessing, tmp_path) == []


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            "The serving process was killed by SIGSEGV.",
        ),
        (
            "import time; time.sleep(60)",
            "The serving process did not finish within 1 s and was stopped.",
        ),
        (
            "import json, os, pathlib, sys\n"
            "answer = {'name': 'training', 'outputs': {}}\n"
            "file = pathlib.Path(sys.argv[2]) / 'answers.jsonl'\n"
            "file.write_text(json.dumps(answer) + '\\n' + '{\"name\": \"stored')\n"
            "os.abort()",
            "The serving process was killed by SIGABRT at stored_jpeg.",
        ),
    ],
    ids=["crash", "hang", "crash while answering"],
)
def test_a_process_that_dies_or_hangs_is_a_failed_case(
    script: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that misbehaves stands in for the one that loads the model."""
    (tmp_path / "script.py").write_text(script)
    monkeypatch.setattr(probe, "__file__", str(tmp_path / "script.py"))
    settings = SETTINGS | {executor.TIMEOUT: 1 if "sleep" in script else 60}
    cases = executor.check_model("nowhere", [serialized(0)], settings, tmp_path / "log")
    assert cases[0] == executor.Case("process", False, sentence)
    assert not any(case.passed for case in cases)


GOOD = {
    "probabilities": [[0.2, 0.7, 0.1]],
    "label": ["Standing"],
    "confidence": [0.7],
    "unsure": [False],
}


def _changed(**outputs: Any) -> dict[str, Any]:
    return {"training": {"outputs": GOOD}, "case": {"outputs": GOOD | outputs}}


@pytest.mark.parametrize(
    ("answers", "passed"),
    [
        (_changed(), True),
        (_changed(probabilities=[[0.195, 0.705, 0.1]], confidence=[0.705]), True),
        (_changed(probabilities=[[0.15, 0.75, 0.1]], confidence=[0.75]), False),
        (_changed(probabilities=[[0.2, float("nan"), 0.1]]), False),
        (_changed(probabilities=[[0.2, 0.7, 0.2]]), False),
        (_changed(probabilities=[[-0.1, 0.7, 0.4]]), False),
        (_changed(probabilities=[[0.2, 0.8]]), False),
        (_changed(probabilities=[GOOD["probabilities"][0]] * 2), False),
        (_changed(label=["Sitting"]), False),
        (_changed(confidence=[0.9]), False),
        (_changed(confidence=[float("nan")]), False),
        # Next to a threshold between the two, not beside one above both.
        (_changed(probabilities=[[0.205, 0.695, 0.1]], confidence=[0.695], unsure=[True]), True),
        (_changed(probabilities=[[0.195, 0.705, 0.1]], confidence=[0.705], unsure=[True]), False),
        (_changed(unsure=[True]), False),
        (_changed(unsure=[]), False),
        (_changed(unsure=[0]), False),
        ({"training": {"outputs": {**GOOD, "unsure": []}}, "case": {"outputs": GOOD}}, False),
        ({"case": {"outputs": GOOD}}, False),
        ({"training": {"outputs": GOOD}}, False),
    ],
)
def test_judge(answers: dict[str, Any], passed: bool) -> None:
    request = requests.Request("case", "Pictures", [b""], like=requests.TRAINING)
    assert executor.judge(request, answers, 0.02).passed is passed


def test_the_sample_is_stable_without_repetition_and_from_everywhere(tmp_path: Path) -> None:
    split = [write_split(tmp_path / "examples", 40).uri + "/Split-test"]
    everything = executor.sample_examples(split, 100)
    drawn = executor.sample_examples(split, 10)
    assert len(everything) == 40
    assert len(set(drawn)) == 10
    assert drawn == executor.sample_examples(split, 10)
    assert set(drawn) - set(everything[:10])


def test_requests_hold_the_pixels_they_claim() -> None:
    """Lossless requests decode to the pixels of what they are compared with."""
    examples = [serialized(seed) for seed in range(3)]
    asked = requests.requests_of(examples, [picture(seed) for seed in range(3)])
    by_name = {request.name: request for request in asked}
    assert len(by_name) == len(asked)

    def pixels(payload: bytes) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(payload)).convert("RGB"))

    for request in asked:
        if request.like is None or request.lossy:
            continue
        reference = by_name["stored_jpeg" if request.like == requests.TRAINING else request.like]
        for number, payload in enumerate(request.payloads):
            expected = pixels(reference.payloads[number % len(reference.payloads)])
            np.testing.assert_array_equal(pixels(payload), expected, err_msg=request.name)
    assert Image.open(io.BytesIO(by_name["gray_jpeg"].payloads[0])).mode == "L"
    assert Image.open(io.BytesIO(by_name["gif"].payloads[0])).n_frames == 2
    assert max(Image.open(io.BytesIO(by_name["large"].payloads[0])).size) == requests.LARGE_SIDE
