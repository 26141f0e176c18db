"""Runs of the tiny pipeline by the real worker, in this process or under the real launcher."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.errors import DataError
from pipeline import config
from pipeline.config import PipelineConfig
from pipeline.process import worker
from pipeline.runs import record, snapshot
from pipeline.runs.run import Counts, Run


def settings(root: Path) -> PipelineConfig:
    """The settings of tiny runs."""
    chosen = config.load(None, data_root="/data", output_root=root, base_weights="none")
    chosen.logs_dir.mkdir(parents=True, exist_ok=True)
    return chosen


@contextlib.contextmanager
def replaced(**answers: Any) -> Iterator[None]:
    """Lets the worker run the tiny pipeline over no data.

    Args:
      **answers: those of `tiny_pipeline.create`; `data` is why ingestion refuses the data;
        `page` is what drawing the page raises; `stops` is `before` or `after`: the worker
        says so in a file of that name and sleeps before the Pusher or after it.
    """
    from pipeline.review import build
    from tests.support import tiny_pipeline

    refused, page = answers.pop("data", None), answers.pop("page", None)
    stops = answers.pop("stops", None)

    def ingest(chosen: PipelineConfig, steps: worker.Progress, *_: object) -> Counts:
        with steps.stage(worker.MASTER):
            if refused:
                raise DataError(refused)
        return Counts(rows=10, images=9, rejected=1, clips=3)

    def build_pipeline(chosen: PipelineConfig, beam_args: list[str]) -> Any:
        if stops == "before":
            answers["waits"] = str(chosen.output_root / stops)
        return tiny_pipeline.create(chosen, **answers)

    drawn = build.build

    def draw(run: Run, **options: Any) -> Path:
        if page:
            raise RuntimeError(page)
        if stops == "after":
            (run.config.output_root / stops).touch()
            time.sleep(600)
        return drawn(run, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "ingest", ingest)
        patch.setattr(worker, "build_pipeline", build_pipeline)
        patch.setattr(build, "build", draw)
        yield


def run(chosen: PipelineConfig, run_id: str, **answers: Any) -> Run:
    """Runs in this process, and writes run.json as the worker's `main` does."""
    snapshot.begin(run_id, chosen, time.time())
    with replaced(**answers):
        found = worker.work(worker.Job(run_id=run_id, config=chosen, beam_args=[]))
    record.write(record.record(found), chosen.record_path)
    return found


def main() -> None:
    """A worker process: `launcher.WORKER` may be `(sys.executable, "-m", __name__, ANSWERS)`.

    ANSWERS are the arguments of `replaced`, as JSON.
    """
    with replaced(**json.loads(sys.argv[1])):
        worker.main()


if __name__ == "__main__":
    try:
        main()
    except Exception:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        os._exit(1)
