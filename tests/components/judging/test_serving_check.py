"""Runs ServingCheck on small real SavedModels, sound and faulty, and obeys it with TFX's Pusher."""

import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from PIL import Image
from tfx.components import Pusher
from tfx.components.pusher.executor import Executor as PusherExecutor
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from components.examples import preprocessing
from components.judging.serving_check import executor, probe, requests, sample
from components.judging.serving_check.component import ServingCheck
from components.training import model_run, signatures
from schema import features
from tests.support.examples import artifact, serialized, write_split
from tests.support.transform import preprocess

IMAGES = 5
SIZE = 32
FIT = "stretch"
THRESHOLD = 0.3  # everything is sure: no fault is hidden behind another


def network(*hidden: keras.layers.Layer) -> keras.Model:
    """Classifies pictures of 32 x 32 pixels, by what the hidden layers make of them."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            keras.layers.Rescaling(1 / 255),
            *hidden,
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


class Served(tf.Module):
    """Classifies pictures by 4 x 4 means of colour; the faults are switched on by name."""

    def __init__(self, faults: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.model = network(keras.layers.AveragePooling2D(8))
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


class Exported(NamedTuple):
    """What the Trainer leaves."""

    model: standard_artifacts.Model
    run: standard_artifacts.ModelRun


def exported(folder: Path, model: keras.Model) -> Exported:
    """Writes what the Trainer leaves but for the SavedModel, which goes to Format-Serving."""
    run = folder / "run"
    run.mkdir(parents=True)
    model.save(run / model_run.KERAS_MODEL)
    history = {
        "settings": {"image_size": SIZE, "fit": FIT},
        "calibration": {"threshold": THRESHOLD},
    }
    (run / model_run.HISTORY).write_text(json.dumps(history))
    return Exported(
        artifact(standard_artifacts.Model, folder), artifact(standard_artifacts.ModelRun, run)
    )


def export(folder: Path, *faults: str) -> Exported:
    """Writes a model with the given faults."""
    served = Served(frozenset(faults))
    tf.saved_model.save(
        served,
        str(folder / "Format-Serving"),
        signatures={
            requests.SERVING_DEFAULT: served.serving_default,
            requests.SERVING_EXAMPLES: served.serving_examples,
        },
    )
    return exported(folder, served.model)


def picture(seed: int) -> bytes:
    """A JPEG of soft coloured patches, 160 x 120."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(patches).resize((160, 120), Image.Resampling.BICUBIC).save(
        buffer, "JPEG", quality=95
    )
    return buffer.getvalue()


def raw_row(seed: int) -> dict[str, bytes | int | float]:
    return {
        features.IMAGE: picture(seed),
        features.FILE_NAME: b"%d.jpg" % seed,
        features.CLIP: b"clip",
        features.POSTURE: b"Lying",
        features.WIDTH: 160,
        features.HEIGHT: 120,
        **dict.fromkeys(features.MEASURES, float(seed)),
    }


class Data(NamedTuple):
    """The eval split before and after Transform."""

    examples: standard_artifacts.Examples
    transformed: standard_artifacts.Examples


def write_data(folder: Path, count: int = IMAGES) -> Data:
    """Writes pictures, and what the real Transform makes of them, in another order."""
    rows = [raw_row(seed) for seed in range(count)]
    transformed = preprocess(rows, folder, SIZE, FIT) if rows else []
    for row in transformed:
        row[features.LABEL] = int(row[features.LABEL])
    write_split(folder / "raw", features.EVAL, rows)
    write_split(folder / "transformed", features.EVAL, transformed[::-1])
    return Data(
        *(
            artifact(standard_artifacts.Examples, folder / name, features.EVAL)
            for name in ("raw", "transformed")
        )
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def sound_model(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(tmp_path_factory.mktemp("sound"))


def check(
    model: Exported, data: Data, folder: Path
) -> tuple[standard_artifacts.InfraBlessing, dict[str, Any]]:
    """Runs the executor; returns its blessing and the report's cases by name."""
    blessing = artifact(standard_artifacts.InfraBlessing, folder / "blessing")
    executor.ServingCheckExecutor().Do(
        {
            executor.MODEL: [model.model],
            executor.MODEL_RUN: [model.run],
            executor.EXAMPLES: [data.examples],
            executor.TRANSFORMED: [data.transformed],
        },
        {executor.BLESSING: [blessing]},
        {"code_digest": ""},
    )
    report = json.loads((folder / "blessing" / executor.REPORT_FILE).read_text())
    assert report["passed"] == all(case["passed"] for case in report["cases"])
    return blessing, {case["case"]: case for case in report["cases"]}


def push(model: Exported, blessing: standard_artifacts.InfraBlessing, folder: Path) -> list[Path]:
    """Runs TFX's Pusher; returns the versions in the serving folder."""
    pushed = standard_artifacts.PushedModel()
    pushed.uri = str(folder / "pushed")
    serving = folder / "serving"
    destination = pusher_pb2.PushDestination(
        filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(serving))
    )
    PusherExecutor().Do(
        {"model": [model.model], "infra_blessing": [blessing]},
        {"pushed_model": [pushed]},
        {"push_destination": proto_utils.proto_to_json(destination)},
    )
    return list(serving.glob("*"))


def failed(cases: dict[str, Any]) -> set[str]:
    return {name for name, case in cases.items() if not case["passed"]}


def test_a_sound_model_is_blessed_and_pushed_by_a_pipeline(
    sound_model: Exported,
    data: Data,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    imported = {
        name: Importer(
            source_uri=given.uri,
            artifact_type=type(given),
            properties={"split_names": given.split_names} if name in Data._fields else {},
            custom_properties={"tfx_version": "1.16.0"},
        ).with_id(name)
        for name, given in (sound_model._asdict() | data._asdict()).items()
    }
    checked = ServingCheck(
        model=imported["model"].outputs["result"],
        model_run=imported["run"].outputs["result"],
        examples=imported["examples"].outputs["result"],
        transformed_examples=imported["transformed"].outputs["result"],
        code_digest="",
    )
    pusher = Pusher(
        model=imported["model"].outputs["result"],
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
            components=[*imported.values(), checked, pusher],
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


def test_faults_are_named_by_format_and_nothing_is_pushed(data: Data, tmp_path: Path) -> None:
    model = export(tmp_path / "model", "NaN for BMP", "wrong label for GIF", "refuses PNG")
    blessing, cases = check(model, data, tmp_path)

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


def test_skew_and_made_up_answers_are_refused(data: Data, tmp_path: Path) -> None:
    model = export(tmp_path / "model", "inverts", "makes up answers")
    blessing, cases = check(model, data, tmp_path)

    assert {"stored_jpeg", "png", "bmp", "batch_of_1", "batch_of_32"} <= failed(cases)
    assert "differ from training by up to" in cases["stored_jpeg"]["sentence"]
    assert {"garbage", "empty"} <= failed(cases)
    assert cases["garbage"]["sentence"].endswith("got an answer instead of being refused.")
    assert cases["truncated"]["passed"]
    assert push(model, blessing, tmp_path) == []


def test_an_export_with_another_threshold_is_refused(data: Data, tmp_path: Path) -> None:
    model = export(tmp_path / "model", "another threshold")
    blessing, cases = check(model, data, tmp_path)
    assert {"stored_jpeg", "png", "large", "mixed_batch"} <= failed(cases)
    assert "got another threshold than training: unsure at" in cases["png"]["sentence"]
    assert push(model, blessing, tmp_path) == []


def test_a_model_that_does_not_load_is_a_verdict(
    sound_model: Exported, data: Data, tmp_path: Path
) -> None:
    folder = tmp_path / "model" / "Format-Serving"
    folder.mkdir(parents=True)
    whole = (Path(sound_model.model.uri) / "Format-Serving" / "saved_model.pb").read_bytes()
    (folder / "saved_model.pb").write_bytes(whole[: len(whole) // 2])
    model = Exported(artifact(standard_artifacts.Model, folder.parent), sound_model.run)

    blessing, cases = check(model, data, tmp_path)
    assert failed(cases) == set(cases) - {"pixels"}
    assert "failed with exit status 1" in cases["process"]["sentence"]
    assert cases["png"]["sentence"] == "PNGs got no answer."
    assert push(model, blessing, tmp_path) == []


def test_an_empty_split_is_a_verdict(sound_model: Exported, tmp_path: Path) -> None:
    blessing, cases = check(sound_model, write_data(tmp_path / "none", 0), tmp_path)
    assert cases["pictures"]["sentence"] == "The eval split has no picture to send."
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
            "answer = {'name': 'stored_examples', 'outputs': {}}\n"
            "file = pathlib.Path(sys.argv[2]) / 'answers.jsonl'\n"
            "file.write_text(json.dumps(answer) + '\\n' + '{\"name\": \"stored')\n"
            "os.abort()",
            "The serving process was killed by SIGABRT at stored_jpeg.",
        ),
    ],
    ids=["crash", "hang", "crash while answering"],
)
def test_a_process_that_dies_or_hangs_is_a_failed_case(
    script: str,
    sentence: str,
    sound_model: Exported,
    data: Data,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A script that misbehaves stands in for the one that loads the model."""
    (tmp_path / "script.py").write_text(script)
    monkeypatch.setattr(probe, "__file__", str(tmp_path / "script.py"))
    monkeypatch.setattr(executor, "TIMEOUT_SECONDS", 1 if "sleep" in script else 60)
    _, cases = check(sound_model, data, tmp_path)
    assert failed(cases) == set(cases) - {"pixels"}
    assert cases["process"]["sentence"] == sentence


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
    assert executor.judge(request, answers).passed is passed


def sampled_row(number: int) -> dict[str, bytes | int | float]:
    """A row that is quick to make; its picture is one pixel of gray, by its number."""
    png = tf.io.encode_png(np.full((1, 1, 3), number % 256, np.uint8)).numpy()
    return {features.FILE_NAME: b"%d" % number, features.IMAGE: png}


@pytest.mark.parametrize("count", [1, 7, 32, 40, 900])
def test_the_sample_holds_the_same_images_of_both_sides(count: int, tmp_path: Path) -> None:
    rows = [sampled_row(number) for number in range(count)]
    raw = write_split(tmp_path / "raw", "eval", rows, files=3)
    transformed = write_split(tmp_path / "transformed", "eval", rows[::-1], files=2)
    drawn = sample.draw(raw, transformed)
    assert drawn.transformed.shape == (min(count, sample.IMAGES), 1, 1, 3)
    names = [
        tf.train.Example.FromString(example).features.feature[features.FILE_NAME]
        for example in drawn.examples
    ]
    numbers = [int(name.bytes_list.value[0]) for name in names]
    assert len(set(numbers)) == len(numbers)
    assert drawn.jpegs == [rows[number][features.IMAGE] for number in numbers]
    assert drawn.transformed[:, 0, 0, 0].tolist() == [number % 256 for number in numbers]
    assert sample.draw(raw, transformed).examples == drawn.examples
    if count > sample.IMAGES:
        assert len({number * 2 // count for number in numbers}) == 2, "from both files"


def test_only_a_part_of_a_large_split_is_read(tmp_path: Path) -> None:
    rows = [sampled_row(number) for number in range(5000)]
    folders = [write_split(tmp_path / name, "eval", rows, files=2) for name in ("a", "b")]
    for folder in folders:
        for file in folder.iterdir():
            whole = file.read_bytes()
            file.write_bytes(whole[: len(whole) * 2 // 3])
    assert len(sample.draw(*folders).examples) == sample.IMAGES


def test_images_that_are_not_among_the_examples_are_an_error(tmp_path: Path) -> None:
    raw = write_split(tmp_path / "raw", "eval", [sampled_row(1)])
    transformed = write_split(tmp_path / "transformed", "eval", [sampled_row(2)])
    with pytest.raises(ValueError, match="has images that are not in"):
        sample.draw(raw, transformed)


def jpeg(image: tf.Tensor) -> tf.Tensor:
    return tf.io.encode_jpeg(image, quality=95)


def inverted(image: tf.Tensor) -> tf.Tensor:
    return tf.io.encode_png(255 - image)


@pytest.mark.parametrize("encode", [jpeg, inverted])
def test_a_transform_that_changes_pixels_is_refused(
    encode: Any, sound_model: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compact(encoded: tf.Tensor, size: int, fit: str) -> tf.Tensor:
        image = preprocessing.fit_image(preprocessing.decode_image(encoded), size, fit)
        return encode(image)

    monkeypatch.setattr(preprocessing, "compact", compact)
    blessing, cases = check(sound_model, write_data(tmp_path), tmp_path)
    assert "pixels" in failed(cases)
    assert "differ from those that Transform wrote by up to" in cases["pixels"]["sentence"]
    if encode is inverted:
        assert {"stored_examples", "stored_jpeg", "png"} <= failed(cases)
    assert push(sound_model, blessing, tmp_path) == []


def test_serving_answers_as_the_network_does_to_transforms_pictures(tmp_path: Path) -> None:
    """A network that looks at each pixel; one grey level anywhere would show."""
    data = write_data(tmp_path)
    model = network()
    layer = model.layers[-1]
    kernel = np.random.default_rng(2).normal(0, 0.5, layer.kernel.shape)
    layer.kernel.assign(kernel / np.sqrt(len(kernel)))
    module = signatures.ServingModule(
        model, tft.TFTransformOutput(str(tmp_path / "graph")), 512, SIZE, FIT, THRESHOLD
    )
    signatures.export(module, str(tmp_path / "model"))
    drawn = sample.draw(*(Path(side.uri) / "Split-eval" for side in data))
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    expected = executor.training_outputs(
        model_run.read(Path(exported(tmp_path, model).run.uri)), drawn
    )
    for name, payloads in (("serving_examples", drawn.examples), ("serving_default", drawn.jpegs)):
        signature = loaded.signatures[name]
        (argument,) = signature.structured_input_signature[1]
        answer = signature(**{argument: tf.constant(payloads)})
        np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], atol=1e-6)
        assert answer[features.UNSURE].numpy().tolist() == expected[features.UNSURE]


def test_requests_hold_the_pixels_they_claim() -> None:
    """Lossless requests decode to the pixels of what they are compared with."""
    examples = [serialized(raw_row(seed)) for seed in range(3)]
    asked = requests.requests_of(examples, [picture(seed) for seed in range(3)])
    by_name = {request.name: request for request in asked}
    assert len(by_name) == len(asked)

    def pixels(payload: bytes) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(payload)).convert("RGB"))

    for request in asked:
        if request.signature != requests.SERVING_DEFAULT or request.like is None or request.lossy:
            continue
        reference = by_name["stored_jpeg" if request.like == requests.TRAINING else request.like]
        for number, payload in enumerate(request.payloads):
            expected = pixels(reference.payloads[number % len(reference.payloads)])
            np.testing.assert_array_equal(pixels(payload), expected, err_msg=request.name)
    assert Image.open(io.BytesIO(by_name["gray_jpeg"].payloads[0])).mode == "L"
    assert Image.open(io.BytesIO(by_name["gif"].payloads[0])).n_frames == 2
    assert max(Image.open(io.BytesIO(by_name["large"].payloads[0])).size) == requests.LARGE_SIDE
