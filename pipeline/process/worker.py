"""The worker: ingestion, then the pipeline, then the verdict.

The launcher starts it as `python -m pipeline.process.worker`, with the job as one line of
JSON on standard input. It reports progress through `components.progress` and ends by
writing OUT/run.json. What it and its libraries print is the log.
"""

import faulthandler
import gc
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from absl import logging as absl_logging
from pydantic import BaseModel

from components import processes, progress
from components.errors import DataError, InputError, memory_was_short
from components.examples.findings import Finding
from pipeline import beam
from pipeline.config import PipelineConfig
from pipeline.metadata_server import HidePassword
from pipeline.runs import record, snapshot
from pipeline.runs.reader import Runs
from pipeline.runs.run import Counts, Run, Snapshot, Stage

if TYPE_CHECKING:
    from tfx.orchestration import pipeline as tfx_pipeline

DEMO: Final = "Demo tranches"
MASTER: Final = "Master table"
TFRECORDS: Final = "TFRecords"
LOADING: Final = "TensorFlow Extended"

_UNITS: Final = {DEMO: "clips", MASTER: "bytes", TFRECORDS: "pictures"}  # of progress

_PROGRESS_INTERVAL: Final = 0.25  # seconds between events of one step, at least


class Job(BaseModel):
    """What the launcher asks for.

    Attributes:
      run_id: name of the run, in ML Metadata too.
      config: the settings.
      beam_args: Beam's options.
    """

    run_id: str
    config: PipelineConfig
    beam_args: list[str]


class Progress:
    """Times the steps before the pipeline, reports them to the launcher, keeps their warnings."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self.warnings: list[Finding] = []
        self._next = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Runs a step: `ran` or `failed`, unless the caller sets its state to `cached`."""
        progress.emit("stage", name=name, state="running")
        started = time.monotonic()
        stage = Stage(name=name, state="ran", seconds=0)
        self.stages.append(stage)
        try:
            yield stage
        except BaseException:
            stage.state = "failed"
            raise
        finally:
            stage.seconds = round(time.monotonic() - started, 3)
            progress.emit("stage", name=name, state=stage.state)

    def advance(self, name: str, done: int, total: int) -> None:
        """Reports progress within a step; most calls come too soon and are left out."""
        now = time.monotonic()
        if now >= self._next or done == total:
            self._next = now + _PROGRESS_INTERVAL
            progress.emit("progress", stage=name, done=done, total=total, unit=_UNITS[name])


class ComponentEvents(logging.Handler):
    """Learns from TFX's log which component runs.

    LocalDagRunner has no hooks. The records' templates are constants of TFX 1.16.0;
    a test fails if they change. Only the live view depends on them: the verdict is
    read from ML Metadata.
    """

    RUNNING: Final = "Component %s is running."
    FINISHED: Final = "Component %s is finished."
    CACHED: Final = "A cached execution %d is used."
    SKIPPED: Final = "Skipping execution for %s"
    UNRESOLVED: Final = "[%s] Input resolution error: %s"

    _ENDINGS: Final = {CACHED: "cached", SKIPPED: "skipped", UNRESOLVED: "failed"}

    def __init__(self) -> None:
        super().__init__()
        self._state = "ran"

    def emit(self, record: logging.LogRecord) -> None:
        """Reports what a log record says about a component, if anything."""
        if record.msg == self.RUNNING:
            self._state = "ran"
            progress.emit("stage", name=_argument(record), state="running")
        elif record.msg == self.FINISHED:
            progress.emit("stage", name=_argument(record), state=self._state)
        else:
            self._state = self._ENDINGS.get(record.msg, self._state)


def _argument(record: logging.LogRecord) -> str:
    assert isinstance(record.args, tuple)  # noqa: S101 (for the type checker)
    return str(record.args[0])


def ingest(config: PipelineConfig, steps: Progress, beam_args: list[str]) -> Counts:
    """Brings the tranches to TFRecords.

    Args:
      config: the settings of the run.
      steps: hears about each step.
      beam_args: Beam's options for the run.

    Returns:
      Counts, without splits.

    Raises:
      InputError: the tranches cannot be used; DataError if it is their content.
    """
    data_root = config.data_root
    if data_root is None:
        with steps.stage(DEMO) as stage:
            from components.demo.tranches import draw_tranches

            drawn = draw_tranches(
                config.demo_dir,
                tranches=config.demo_tranches,
                advance=lambda done, total: steps.advance(DEMO, done, total),
            )
            stage.state = "ran" if drawn.drawn else "cached"
        data_root = config.demo_dir
    with steps.stage(MASTER):
        from components.ingest import master

        table = master.build_master(
            data_root,
            config.data_dir,
            advance=lambda _, done, total: steps.advance(MASTER, done, total),
        )
    steps.warnings += [Finding("warning", sentence) for sentence in table.warnings]
    with steps.stage(TFRECORDS) as stage:
        from components.ingest import tfrecords

        records = tfrecords.write_tfrecords(
            table.master,
            config.tfrecords_dir,
            size=config.ingest_size,
            beam_args=beam.ingestion_args(beam_args),
            advance=lambda done, total: steps.advance(TFRECORDS, done, total),
        )
        stage.state = "cached" if len(records.reused) == len(records.tranches) else "ran"
    unmatched = sum(
        counts.labels_without_image + counts.images_without_label + counts.other_files
        for counts in table.tranches.values()
    )
    return Counts(
        rows=sum(counts.rows for counts in table.tranches.values()),
        images=records.written,
        rejected=unmatched + sum(records.reasons.values()),
        clips=table.clips,
    )


def work(job: Job) -> Run:
    """Does the whole job.

    Args:
      job: run id and settings.

    Returns:
      The run, read back from what it left.
    """
    from pipeline.runs import lineage, sign_off

    config, steps = job.config, Progress()
    random.seed(config.seed)
    kept = snapshot.read(config.output_root, job.run_id)
    try:
        if config.metadata is not None:
            lineage.open_store(config)  # before any work: the server must be there, with its tables
        counts = ingest(config, steps, job.beam_args)
    except InputError as error:
        logging.exception("ingestion stopped")
        refused = isinstance(error, DataError)
        kept = kept.model_copy(
            update={
                "stages": steps.stages,
                "warnings": steps.warnings,
                "refused": refused,
                "failure": str(error),
            }
        )
        return _reviewed(kept)
    progress.emit("stage", name=LOADING, state="running")
    pipeline = build_pipeline(config, job.beam_args)
    progress.emit("stage", name=LOADING, state="ran")
    from pipeline.runs.seals import Seals

    lineage.adopt(config)
    sign_off.complete(config)
    seals = Seals(config)
    kept = kept.model_copy(
        update={
            "stages": steps.stages,
            "counts": counts,
            "nodes": [component.id for component in pipeline.components],
            "warnings": [*steps.warnings, *seals.check()],
        }
        | snapshot.of_data(config.data_dir)
    )
    snapshot.write(kept)
    failure = run_pipeline(pipeline, job.run_id)
    seals.seal()
    return _reviewed(kept.model_copy(update={"failure": failure}))


def build_pipeline(config: PipelineConfig, beam_args: list[str]) -> "tfx_pipeline.Pipeline":
    """Imports TensorFlow Extended and builds the pipeline.

    Garbage collection is off during the imports and never looks at what they leave: scanning
    those objects again and again takes a tenth of the imports' time.

    Args:
      config: the settings of the run.
      beam_args: Beam's options.

    Returns:
      What `run_pipeline` runs.
    """
    gc.disable()
    try:
        from pipeline.pipeline import create_pipeline
    finally:
        gc.freeze()
        gc.enable()
    return create_pipeline(config, beam_args)


def _reviewed(kept: Snapshot) -> Run:
    """Keeps the snapshot, and draws the page of a run that ended before its last node could."""
    snapshot.write(kept)
    root = kept.config.output_root
    run = Runs(root).read(kept.run_id)
    if snapshot.page_path(root, kept.run_id).exists():
        return run
    try:
        from pipeline.review import build

        build.build(run)
    except Exception as error:  # the verdict stands without its page, and says so
        logging.exception("the review page could not be drawn")
        warning = Finding(severity="warning", sentence=f"There is no review page: {error}")
        kept = kept.model_copy(update={"warnings": [*kept.warnings, warning]})
        snapshot.write(kept)
    return replace(run, snapshot=kept)


def run_pipeline(pipeline: "tfx_pipeline.Pipeline", run_id: str) -> str:
    """Runs a pipeline in this process, component after component.

    Args:
      pipeline: what to run.
      run_id: its name in ML Metadata.

    Returns:
      What a component raised, in a sentence; empty if none did.
    """
    from tfx.dsl.compiler import compiler, constants
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.orchestration.portable import runtime_parameter_utils

    progress.emit("plan", stages=[component.id for component in pipeline.components])
    representation = compiler.Compiler().compile(pipeline)
    # LocalDagRunner would name the run after the time; this way log, record and database agree.
    runtime_parameter_utils.substitute_runtime_parameter(
        representation, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
    )
    try:
        LocalDagRunner().run_with_ir(representation)
    except Exception as error:  # the verdict names it, the log has its trace
        logging.exception("the pipeline stopped")
        return sentence(error)
    return ""


def sentence(error: BaseException) -> str:
    """Says in one line what was raised."""
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    if isinstance(error, InputError):
        return text
    words = f"{type(error).__name__}: {text}"
    return memory_was_short(words) or words


@contextmanager
def component_events() -> Iterator[None]:
    """Reports components to the launcher inside this context."""
    logger, handler = absl_logging.get_absl_logger(), ComponentEvents()
    logger.addHandler(handler)
    # Set explicitly: libraries save and restore absl's own level, which is WARNING.
    absl_logging.set_verbosity(absl_logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _end_with_parent() -> None:
    """Ends this process group when the launcher is gone, however it ended.

    Its end of our standard input closes with it, even after a SIGKILL.
    """

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def _read_line(descriptor: int) -> bytes:
    """Reads up to a line feed and no byte more, unlike a buffered file."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            raise EOFError("the launcher ended before it sent the job")
        line += byte
    return bytes(line)


def main() -> None:
    """Reads the job, works, writes OUT/run.json."""
    job = Job.model_validate_json(_read_line(0))
    os.chdir(job.config.output_root)  # see `PipelineConfig.told`
    _end_with_parent()
    processes.lose_output()
    faulthandler.enable()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads it at import
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    if job.config.metadata:
        for handler in logging.getLogger().handlers:
            handler.addFilter(HidePassword(job.config.metadata.password()))
    with component_events():
        run = work(job)
    record.write(record.record(run), job.config.record_path)


if __name__ == "__main__":
    try:
        main()
    except Exception:
        logging.exception("the worker failed")
        # At once: gRPC servers that a failure left half started would be waited for, for ever.
        os._exit(1)
