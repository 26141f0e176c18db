"""PipelineConfig: the settings of a run, with defaults that work.

A run reads them from a TOML file (`--config run.toml`, keys as below) and lets
flags override them. Unknown keys, wrong types and values out of range are
refused with the key and what is allowed.
"""

import difflib
import hashlib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.errors import InputError
from components.first_bytes import read_text
from components.judging.acceptance import Acceptance
from pipeline.metadata_server import MetadataServer

# Base weights that are no file.
IMAGENET: Final = "imagenet"
NO_WEIGHTS: Final = "none"

# Plain words where pydantic's message names a Python type.
_ALLOWED: Final = {"path_type": "a path in quotes", "model_type": "a table"}

# What Slurm, Keras and people call settings that have another name here.
_OTHER_NAMES: Final = {
    "gres": ("gpu", "gpus", "gpus_per_node"),
    "cpus": ("cores", "cpus_per_task", "threads"),
    "workers": ("ntasks", "ntasks_per_node"),
    "memory_gb": ("mem", "ram", "ram_gb"),
    "time_limit": ("time", "walltime", "hours", "minutes"),
    "partition": ("queue",),
    "account": ("project",),
    "constraint": ("features",),
    "engine": ("runner",),
    "head_epochs": ("epochs",),
    "head_learning_rate": ("learning_rate", "lr"),
    "base_weights": ("weights",),
    "data_root": ("data", "tranches"),
    "output_root": ("out", "output"),
    "eval": ("val", "validation"),
    "in_service": ("max_accuracy_drop", "baseline"),
}

# Defaults of the demo; a settings file and flags override them.
DEMO_SETTINGS: Final = Path(__file__).with_name("demo.toml")

_WILD: Final = frozenset("*?[\\")

_STRICT: Final = ConfigDict(frozen=True, extra="forbid", strict=True)
_Path = Annotated[Path, Field(strict=False)]  # written as a string


class SplitShares(BaseModel):
    """Shares of the clips on each side, in hash buckets."""

    model_config = _STRICT

    train: int = Field(70, ge=1)
    eval: int = Field(15, ge=1)
    test: int = Field(15, ge=1)


class PipelineConfig(BaseModel):
    """Everything that decides what a run does. Paths are absolute after `load`."""

    model_config = _STRICT

    # Where from, where to.
    data_root: _Path | None = None  # None draws the demo
    demo_tranches: int = Field(3, ge=1, le=20)  # how many it draws
    output_root: _Path = Path("output")
    base_weights: str = IMAGENET  # imagenet, none, or an .h5 file
    metadata: MetadataServer | None = None  # None keeps runs in a SQLite file there

    # Data.
    selection: Literal["labelled", "single_person"] = "labelled"
    ingest_size: int = Field(512, ge=64, le=4096)  # TFRecord images fit a square of this side
    fit: Literal["stretch", "border", "letterbox"] = "stretch"
    image_size: int = Field(320, ge=32, le=512)  # the model's input side
    splits: SplitShares = SplitShares()

    # Model and training.
    alpha: float = Field(1.0, gt=0, le=1.4)  # MobileNetV2's width multiplier
    frozen_layers: int = Field(100, ge=0, le=154)
    batch_size: int = Field(32, ge=1, le=1024)
    head_epochs: int = Field(20, ge=1)
    head_learning_rate: float = Field(3e-4, gt=0)
    fine_tune_epochs: int = Field(8, ge=0)
    fine_tune_learning_rate: float = Field(3e-4, gt=0)
    scratch_epochs: int = Field(30, ge=1)  # without base weights, everything is trained at once
    scratch_learning_rate: float = Field(1e-3, gt=0)
    early_stopping_patience: int = Field(10, ge=1)
    class_balance: Literal["weights", "oversample", "none"] = "weights"
    augmentation: float = Field(1.0, ge=0, le=1)  # strength of training views; 0 leaves them plain
    views: int = Field(4, ge=1, le=64)  # augmented views of a picture, where layers are frozen
    mixup: float = Field(0.3, ge=0, le=4)  # mixes training examples; 0 mixes none
    feature_cache: bool = True  # stores the frozen layers' features
    tuning_minutes: float = Field(0, ge=0)  # searches learning rates and mixup; 0 does not
    mirrored: bool = False  # trains on all GPUs of the machine at once
    seed: int = Field(20240701, ge=0)
    wanted_accuracy: float = Field(0.95, ge=0, le=1)  # of what the model is not unsure about

    # Gates.
    acceptance: Acceptance = Acceptance()  # what is asked of a model
    max_label_drift: float = Field(0.3, gt=0, le=1)  # L-infinity distance between tranches
    untested_tranches: Literal["warn", "refuse"] = "warn"  # tranches without a test image
    missing_posture_floor: float = Field(0.001, ge=0, le=1)  # refused if less probable by chance

    @property
    def is_demo(self) -> bool:
        """True if the run draws its own tranches."""
        return self.data_root is None

    @property
    def demo_dir(self) -> Path:
        """Where the demo's tranches are drawn."""
        return self.output_root / "demo"

    @property
    def data_dir(self) -> Path:
        """Where ingestion keeps images, tables and TFRecords."""
        return self.output_root / "data"

    @property
    def tfrecords_dir(self) -> Path:
        """One folder of TFRecords for each tranche."""
        return self.data_dir / "tfrecords"

    @property
    def pipeline_root(self) -> Path:
        """The artifacts of the components."""
        return self.output_root / "artifacts"

    @property
    def feature_cache_dir(self) -> Path:
        """Features of the frozen layers, for later runs."""
        return self.output_root / "features"

    @property
    def training_backup_dir(self) -> Path:
        """What an interrupted training goes on from."""
        return self.pipeline_root / "training_backup"

    @property
    def crossval_dir(self) -> Path:
        """Finished trials of `lookdeep crossval`, and its table."""
        return self.output_root / "crossval"

    @property
    def tflite_dir(self) -> Path:
        """Exported models for devices, one folder a version."""
        return self.output_root / "tflite"

    @property
    def metadata_path(self) -> Path:
        """The SQLite file of ML Metadata."""
        return self.output_root / "metadata.sqlite"

    @property
    def metadata_store(self) -> MetadataServer | Path:
        """Where ML Metadata is: a server, or the SQLite file."""
        return self.metadata or self.metadata_path

    @property
    def pipeline_name(self) -> str:
        """The pipeline name in ML Metadata; each output folder has its own cache and baseline."""
        if self.metadata is None:
            return "lookdeep_posture"
        place = hashlib.sha256(str(self.output_root.resolve()).encode()).hexdigest()[:8]
        return f"lookdeep_posture_{place}"

    @property
    def seals_dir(self) -> Path:
        """Sizes and digests of the artifacts' files when they were made."""
        return self.output_root / "seals"

    @property
    def serving_dir(self) -> Path:
        """Pushed models, one numbered folder each, as TensorFlow Serving reads them."""
        return self.output_root / "serving" / "posture"

    @property
    def logs_dir(self) -> Path:
        """The logs of all runs."""
        return self.output_root / "logs"

    @property
    def record_path(self) -> Path:
        """The record of the last run, for programs."""
        return self.output_root / "run.json"

    @property
    def is_pattern(self) -> bool:
        """Whether the output folder's path has characters of a pattern, such as `[`."""
        return not _WILD.isdisjoint(str(self.output_root))

    def told(self, path: Path) -> str:
        """Returns a path in the output folder as libraries get it, which look for `PATH/*`.

        Beam knows no way to quote what is no pattern. Where the folder's own path would be taken
        for one, this leads to it as the current folder of the worker, which it is.
        """
        within = path.relative_to(self.output_root)
        return str(Path("/proc/self/cwd", within) if self.is_pattern else path)

    def log_path(self, run_id: str) -> Path:
        """The log of one run."""
        return self.logs_dir / f"{run_id}.log"


def load(path: Path | None, **overrides: Any) -> PipelineConfig:
    """Reads settings from a TOML file and lets non-None overrides win.

    If neither names a `data_root`, the run is the demo, with the defaults in `demo.toml`.

    Args:
      path: the TOML file, or None for the defaults alone.
      **overrides: settings by name; None means not given.

    Returns:
      The settings, with absolute paths. Relative paths in the file are taken
      from the current folder, as flags are.

    Raises:
      InputError: the file cannot be read, or a key or value is not allowed.
    """
    given = {} if path is None else read(path)
    given.pop("cluster", None)  # pipeline/cluster/settings.py reads that table
    given |= {name: value for name, value in overrides.items() if value is not None}
    if "data_root" not in given:
        given = read(DEMO_SETTINGS) | given
    elif overrides.get("demo_tranches") is not None:
        raise InputError(
            f"Demo tranches are not drawn beside those in {given['data_root']}; leave out"
            " --demo-tranches (make run: TRANCHES=), or --data-root (DATA=)."
        )
    try:
        config = PipelineConfig.model_validate(given)
    except ValidationError as error:
        place = f" in {path}" if path else ""
        words = problems(error, PipelineConfig)
        raise InputError(f"The settings{place} cannot be used: {words}.") from error
    weights = config.base_weights
    config = config.model_copy(
        update={
            "data_root": config.data_root and config.data_root.expanduser().absolute(),
            "output_root": config.output_root.expanduser().absolute(),
            "base_weights": weights
            if weights in (IMAGENET, NO_WEIGHTS)
            else str(Path(weights).expanduser().absolute()),
        }
    )
    for name in ("data_root", "output_root", "base_weights"):
        path_given = str(getattr(config, name))
        # Bytes that are no UTF-8 are surrogates in Python; TensorFlow and JSON have none.
        if any("\ud800" <= character <= "\udfff" for character in path_given):
            raise InputError(f"The path {path_given!a} ({name}) is not UTF-8; rename it.")
    return config


def read(path: Path) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
      InputError: it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(read_text(path))
    except OSError as error:
        raise InputError(f"The settings file {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"The settings file {path} is not valid TOML: {error}.") from error


def problems(error: ValidationError, model: type[BaseModel], *table: str) -> str:
    """Words the errors that pydantic found.

    Args:
      error: the errors.
      model: what was validated.
      *table: names of the enclosing tables.
    """
    return "; ".join(_problem(detail, model, table) for detail in error.errors())


def _problem(detail: Any, model: type[BaseModel], table: Sequence[str]) -> str:
    *place, name = detail["loc"] or ("",)
    key = ".".join(map(str, [*table, *detail["loc"]]))
    if detail["type"] == "extra_forbidden":
        return f"there is no setting {key}{_hint(str(name), _table(model, place))}"
    if detail["type"] == "missing":
        return f"{key} is missing"
    if detail["type"] == "value_error":
        return f"{key}: {detail['msg'].removeprefix('Value error, ')}"
    if allowed := _ALLOWED.get(detail["type"]):
        return f"{key} is {detail['input']!r} and should be {allowed}"
    message, should, wanted = detail["msg"].partition("should ")
    given = detail["input"]
    shown = repr(given) if isinstance(given, str) else given  # a time of day as TOML writes it
    return f"{key} is {shown}" + (f" and should {wanted}" if should else f": {message}")


def _hint(name: str, table: type[BaseModel]) -> str:
    """The setting that is probably meant, as the end of a sentence."""
    word = name.lower().replace("-", "_")
    if known := _called(word, table):
        return f", did you mean {known}?"
    if table is PipelineConfig and (known := _called(word, Acceptance)):
        return f", did you mean {known}, in the table [acceptance]?"
    if close := difflib.get_close_matches(word, table.model_fields, n=1):
        return f", did you mean {close[0]}?"
    if table is PipelineConfig and (
        close := difflib.get_close_matches(word, Acceptance.model_fields, n=1)
    ):
        return f", did you mean {close[0]}, in the table [acceptance]?"
    if word in PipelineConfig.model_fields:
        return f", did you mean {word}, above the first [table]?"
    return ""


def _called(word: str, table: type[BaseModel]) -> str:
    """The setting of a table that has this name, here or elsewhere; empty if there is none."""
    fields = table.model_fields
    return next(
        (field for field in fields if word == field or word in _OTHER_NAMES.get(field, ())), ""
    )


def _table(model: type[BaseModel], place: Sequence[str]) -> type[BaseModel]:
    """The pydantic model of a table in the settings; an optional table is unwrapped."""
    for name in place:
        kind = model.model_fields[name].annotation
        (model,) = (each for each in (kind, *get_args(kind)) if hasattr(each, "model_fields"))
    return model
