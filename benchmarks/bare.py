"""The image work of a stage without the pipeline: a plain loop or a plain tf.data pass.

Each pass does to every picture what the stage has to do, by the libraries' own calls, without Beam,
artifacts or tables. Imports and loading the model are not counted; building graphs is.
"""

import argparse
import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import costs
from pipeline import config as settings
from pipeline.config import PipelineConfig
from schema import features

DECODING: Final = "tf.data decode and resize"
INGESTION: Final = "ingestion"
TRANSFORM: Final = "Transform"
EVALUATOR: Final = "Evaluator"


def decoding(config: PipelineConfig) -> Callable[[], None]:
    """Reads, decodes and fits the original pictures in tf.data."""
    import tensorflow as tf

    from components.examples.preprocessing import decode_image, fit_image

    paths = [str(path) for path in _originals(config)]

    def work() -> None:
        pictures = tf.data.Dataset.from_tensor_slices(paths).map(
            lambda path: fit_image(
                decode_image(tf.io.read_file(path)), config.image_size, config.fit
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        for _ in pictures.batch(config.batch_size):
            pass

    return work


def ingestion(config: PipelineConfig) -> Callable[[], None]:
    """Decodes, scales, measures and encodes the original pictures with Pillow, one by one."""
    import imagehash
    import numpy as np
    from PIL import Image, ImageOps
    from scipy import ndimage

    from components.ingest.images import JPEG_QUALITY, JPEG_SUBSAMPLING

    paths = _originals(config)

    def work() -> None:
        for path in paths:
            with Image.open(path) as opened:
                opened.thumbnail((config.ingest_size, config.ingest_size), Image.Resampling.LANCZOS)
                image = ImageOps.exif_transpose(opened).convert("RGB")
            luma = np.asarray(image.convert("L"), np.float32)
            luma.mean(), luma.std(), ndimage.laplace(luma).var()
            np.asarray(image.convert("HSV"))[..., 1].mean()
            imagehash.phash(image)
            image.save(io.BytesIO(), "JPEG", quality=JPEG_QUALITY, subsampling=JPEG_SUBSAMPLING)

    return work


def transform(config: PipelineConfig) -> Callable[[], None]:
    """Decodes, fits and encodes the pictures of the splits that Transform materialises."""
    import tensorflow as tf

    from components.examples.preprocessing import PNG_COMPRESSION, decode_image, fit_image

    def picture(record: tf.Tensor) -> tf.Tensor:
        image = fit_image(decode_image(_parse(record)), config.image_size, config.fit)
        return tf.io.encode_png(image, compression=PNG_COMPRESSION)

    def work() -> None:
        records = _examples(config, features.TRAIN, features.EVAL)
        for _ in records.map(picture, num_parallel_calls=tf.data.AUTOTUNE).batch(config.batch_size):
            pass

    return work


def evaluator(config: PipelineConfig) -> Callable[[], None]:
    """Decodes and fits the pictures of the test split and runs the model on them."""
    import tensorflow as tf

    from components.examples.preprocessing import decode_image, fit_image
    from components.training.model_run import KERAS_MODEL
    from components.training.network import load
    from pipeline.evaluation import BATCH_SIZE

    (saved,) = (config.pipeline_root / "Trainer" / "model_run").glob(f"*/{KERAS_MODEL}")
    model = load(saved)

    def picture(record: tf.Tensor) -> tf.Tensor:
        return fit_image(decode_image(_parse(record)), config.image_size, config.fit)

    @tf.function(reduce_retracing=True)
    def forward(pictures: tf.Tensor) -> tf.Tensor:
        return model(tf.cast(pictures, tf.float32), training=False)

    def work() -> None:
        records = _examples(config, features.TEST)
        for batch in records.map(picture, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH_SIZE):
            forward(batch)

    return work


WORKS: Final[dict[str, Callable[[PipelineConfig], Callable[[], None]]]] = {
    DECODING: decoding,
    INGESTION: ingestion,
    TRANSFORM: transform,
    EVALUATOR: evaluator,
}


def _originals(config: PipelineConfig) -> list[Path]:
    master = config.data_dir / "tranch_master.csv"
    with master.open(encoding="utf-8", newline="") as file:
        return [master.parent / row[features.FILE_PATH] for row in csv.DictReader(file)]


def _examples(config: PipelineConfig, *splits: str) -> Any:
    import tensorflow as tf

    artifacts = config.pipeline_root / "TrancheExampleGen" / "examples"
    files = [str(path) for split in splits for path in artifacts.glob(f"*/Split-{split}/*")]
    return tf.data.TFRecordDataset(files, "GZIP")


def _parse(record: Any) -> Any:
    import tensorflow as tf

    spec = {features.IMAGE: tf.io.FixedLenFeature([], tf.string)}
    return tf.io.parse_single_example(record, spec)[features.IMAGE]


def main(arguments: Sequence[str] | None = None) -> None:
    """Makes one pass over the files of a finished run and prints its cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("work", choices=WORKS)
    parser.add_argument("data_root", type=Path)
    parser.add_argument("output_root", type=Path)
    given = parser.parse_args(arguments)
    config = settings.load(None, data_root=given.data_root, output_root=given.output_root)
    costs.report(costs.of(WORKS[given.work](config)))


if __name__ == "__main__":
    main()
