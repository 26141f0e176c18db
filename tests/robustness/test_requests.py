"""Requests of every kind: each picture gets its answer or its refusal, within bounds of memory."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from PIL import Image

from pipeline.commands import predict
from schema import features
from tests.robustness import pictures
from tests.robustness.conftest import Tried
from tests.robustness.pictures import encode
from tests.robustness.test_pictures import bmp_that_says, gif_that_says, jpeg_that_says, png
from tests.support import exported
from tests.support.memory import peak_memory

ROOT = Path(predict.__file__).parents[2]
MIB = 2**20


@pytest.fixture(scope="module")
def model(transform_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return exported.save(folder, exported.corner_model(), transform_graph)


@pytest.fixture(scope="module")
def loaded(model: Path) -> object:
    return tf.saved_model.load(str(model))


def coloured(index: int, kind: str = "PNG", side: int = 40) -> bytes:
    """Red, green or blue; of which posture the model then speaks."""
    pixels = np.zeros((side, side + 20, 3), np.uint8)
    pixels[..., index % 3] = 250
    return encode(Image.fromarray(pixels), kind)


def ask(loaded: object, batch: list[bytes]) -> dict[str, list]:
    serve = loaded.signatures["serving_default"]  # type: ignore[attr-defined]
    answer = serve(image_bytes=tf.constant(batch, tf.string))
    return {name: value.numpy().tolist() for name, value in answer.items()}


GOOD = [coloured(n, kind) for n, kind in enumerate(["JPEG", "PNG", "BMP", "GIF", "PNG", "JPEG"])]
BAD = {
    "nothing": b"",
    "one byte": b"\xff",
    "text": b"no picture at all",
    "a page": b"<!DOCTYPE html><html></html>",
    "a head of a PNG": b"\x89PNG\r\n\x1a\n",
    "a head of a GIF": b"GIF89a",
    "a head of a BMP": b"BM",
    "a JPEG cut in half": GOOD[0][: len(GOOD[0]) // 2],
    "a PNG cut in half": GOOD[1][: len(GOOD[1]) // 2],
    "a WebP": coloured(0, "WEBP"),
    "a 30,000 x 30,000 PNG": png(30_000, 30_000, 30_000 * 3751),
    "a JPEG of 65,500 x 65,500": jpeg_that_says(65_500, 65_500),
    "a GIF of 65,535 x 65,535": gif_that_says(65_535, 65_535),
    "a BMP of 100,000 x 100,000": bmp_that_says(100_000, 100_000),
    "a BMP of -100,000 x -100,000": bmp_that_says(-100_000, -100_000),
    "zeros": bytes(1000),
}


@pytest.mark.parametrize("bad", BAD)
def test_one_bad_picture_in_a_good_batch(loaded: object, tried: Tried, bad: str) -> None:
    for place in (0, 3, 6):
        answer = ask(loaded, [*GOOD[:place], BAD[bad], *GOOD[place:]])
        labels = [features.POSTURES[n % 3].encode() for n in range(len(GOOD))]
        assert answer["label"] == [*labels[:place], b"", *labels[place:]]
        refused = [n == place for n in range(7)]
        assert answer[features.REFUSED] == answer[features.UNSURE] == refused
        assert answer["probabilities"][place] == [0, 0, 0]
        assert answer["confidence"][place] == 0
        tried("batches")


def test_alone_and_empty(loaded: object, tried: Tried) -> None:
    for bad in BAD.values():
        assert ask(loaded, [bad])[features.REFUSED] == [True]
        tried("alone")
    assert ask(loaded, list(BAD.values()))[features.REFUSED] == [True] * len(BAD)
    empty = ask(loaded, [])
    assert set(map(tuple, empty.values())) == {()}


def test_batches_of_every_length_about_a_chunk(loaded: object, tried: Tried) -> None:
    for count in (1, 31, 32, 33, 63, 64, 65, 100):
        answer = ask(loaded, [coloured(n) for n in range(count)])
        expected = [features.POSTURES[n % 3].encode() for n in range(count)]
        assert answer["label"] == expected
        tried("lengths")


def test_mutants(loaded: object, tried: Tried) -> None:
    """Whatever the bytes: an answer of the right form."""
    batch = [pictures.mutant(number)[1] for number in range(200)]
    answer = ask(loaded, batch)
    for refused, row in zip(answer[features.REFUSED], answer["probabilities"], strict=True):
        assert sum(row) == pytest.approx(0 if refused else 1, abs=1e-5)
        tried("refused" if refused else "answered")


@pytest.mark.slow
def test_4096_pictures_take_the_memory_of_64(
    transform_graph: Path, tmp_path: Path, tried: Tried
) -> None:
    """In a process of its own, whose peak no other test has raised."""
    arguments = ("-m", "tests.robustness.peak_of_requests", transform_graph, tmp_path / "model")
    done = subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-W", "ignore", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    few, many = map(int, done.stdout.split()[-2:])
    assert many - few < 300, f"{few} MiB for 64 pictures, {many} for 4,096"
    tried("MiB for 64 pictures", few)
    tried("MiB for 4,096", many)


# -- The command ----------------------------------------------------------------------------


@pytest.mark.slow
def test_predict_with_4096_files(model: Path, tmp_path: Path, tried: Tried) -> None:
    """Some of them bad; the others are answered in order."""
    bad = {0: b"", 77: b"text", 4095: GOOD[0][:100], 2000: BAD["a 30,000 x 30,000 PNG"]}
    paths = [pictures.write(tmp_path, f"{n}.png", bad.get(n, coloured(n))) for n in range(4096)]
    before = peak_memory()
    result = CliRunner().invoke(
        predict.predict, ["--model", str(model), "--json", "--", *map(str, paths)]
    )
    assert result.exit_code == 1
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    good = [n for n in range(4096) if n not in bad]
    assert [answer["image"] for answer in answers] == [str(paths[n]) for n in good]
    assert [answer["label"] for answer in answers] == [features.POSTURES[n % 3] for n in good]
    assert result.stderr.count("cannot be used") == len(bad)
    for n in bad:
        assert f"{paths[n]} cannot be used: " in result.stderr
    assert peak_memory() - before < 300 * MIB
    tried("files", 4096)
    tried("MiB more at most", (peak_memory() - before) // MIB)


def test_predict_takes_any_name(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tried: Tried
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["-rf.png", "a b.png", 'it\'s "x".png', "a\nb.png", "[bold].png", "中文 🙂.png"]
    for name in names:
        pictures.write(tmp_path, name, coloured(1))
    result = CliRunner().invoke(
        predict.predict, ["--model", str(model), "--json", "--", *names, "no\nfile.png"]
    )
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["image"] for answer in answers] == names
    assert {answer["label"] for answer in answers} == {"Standing"}
    assert result.stderr.count("cannot be used: there is no such file.") == 1
    tried("names", len(names) + 1)


def test_names_do_not_reach_the_terminal_as_commands(
    model: Path, tmp_path: Path, tried: Tried
) -> None:
    names = ["\x1b[2J\x1b]0;title\x07.png", "a\nERROR b.png", "\x9b31m.png", "\x08\x08.png"]
    paths = [str(pictures.write(tmp_path, name, b"no picture")) for name in names]
    good = pictures.write(tmp_path, "\x1b[31m.jpg", coloured(0))
    result = CliRunner().invoke(predict.predict, ["--model", str(model), *paths, str(good)])
    assert result.exit_code == 1
    assert not set(result.output) & {"\x1b", "\x07", "\x9b", "\x08"}
    assert len(result.stderr.splitlines()) == 1 + len(names)
    tried("names", 1 + len(names))
