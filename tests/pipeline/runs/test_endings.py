"""Every ending of a run, and every reader of it: all say the same."""

import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from components.errors import InputError
from components.judging.acceptance import Acceptance
from components.serving.asking import find_model
from pipeline.commands.status import status
from pipeline.config import PipelineConfig
from pipeline.review import build
from pipeline.runs import record, sign_off, snapshot
from pipeline.runs.reader import Runs
from tests.support import tiny_runs

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Said:
    """What each reader says of a run."""

    exit_status: int
    run_json: str
    status: str
    page: str
    history: str


def readers(config: PipelineConfig, run_id: str, last: bool = True) -> Said:
    """Asks all of them; run.json tells of the last run only."""
    written = record.read(config.record_path)
    assert written
    assert not last or written.run_id == run_id
    run = Runs(config.output_root).read(run_id)
    now = record.record(run)
    listed = CliRunner().invoke(status, ["--output-root", str(config.output_root), "--json"])
    assert listed.exit_code == 0, listed.output
    (of_status,) = (
        each["verdict"] for each in json.loads(listed.output)["runs"] if each["run_id"] == run_id
    )
    page = html.unescape(build.build(run).read_text(encoding="utf-8"))
    headline = re.search(r'<span class="verdict">. (.*?)</span>', page)
    row = re.search(rf"{run_id} \(this run\)</td>\s*<td[^>]*>(.*?)</td>", page, re.DOTALL)
    assert headline and row, page
    return Said(
        exit_status=written.exit_status if last else now.exit_status,
        run_json=written.verdict if last else now.verdict,
        status=of_status,
        page=headline[1].lower().replace(" ", "_"),
        history=row[1].strip().replace(" ", "_"),
    )


def assert_all_say(
    config: PipelineConfig, run_id: str, verdict: str, last: bool = True, code: int | None = None
) -> None:
    expected = record.EXIT_STATUS[verdict] if code is None else code  # type: ignore[index]
    said = readers(config, run_id, last)
    assert said == Said(expected, verdict, verdict, verdict, verdict)


def served(config: PipelineConfig) -> str | None:
    """The version that predict and export take; None if both say that there is none."""
    run = Runs(config.output_root).in_service
    try:
        folder = find_model(config.serving_dir)
    except InputError:
        assert run is None
        return None
    assert run is not None and run.version is not None and run.version.folder == folder
    return folder.name


@pytest.fixture
def config(tmp_path: Path) -> PipelineConfig:
    return tiny_runs.settings(tmp_path)


def test_data_refused_by_ingestion(config: PipelineConfig) -> None:
    run = tiny_runs.run(config, "r1", data="The label Kneeling is unknown.")
    assert record.record(run).reasons == ["The label Kneeling is unknown."]
    assert_all_say(config, "r1", "invalid_data")
    assert served(config) is None


def test_data_refused_by_the_gate(config: PipelineConfig) -> None:
    run = tiny_runs.run(config, "r1", passes=0)
    assert record.record(run).reasons == ["Column x has the value Kneeling."]
    assert [stage.state for stage in run.components] == ["ran"] * 3 + ["skipped"] * 8 + ["ran"]
    assert_all_say(config, "r1", "invalid_data")
    assert served(config) is None


@pytest.mark.parametrize(
    ("answers", "reasons"),
    [
        ({"blesses": 0}, ["The model was not pushed; the log has the details."]),
        ({"serves": 0}, ["A PNG was not answered."]),
    ],
)
def test_a_gate_refuses_the_model(
    config: PipelineConfig, answers: dict[str, int], reasons: list[str]
) -> None:
    run = tiny_runs.run(config, "r1", **answers)
    assert record.record(run).reasons == reasons
    assert_all_say(config, "r1", "not_blessed")
    assert served(config) is None


def test_a_person_has_to_decide(config: PipelineConfig) -> None:
    asking = config.model_copy(update={"acceptance": Acceptance(sign_off="always")})
    tiny_runs.run(asking, "r1")
    assert_all_say(config, "r1", "awaiting_sign_off", code=5)
    assert served(config) is None
    sign_off.reject(config, "r1", "Ada", "too few falls")
    assert_all_say(config, "r1", "rejected", code=3)
    assert served(config) is None
    tiny_runs.run(asking, "r2")
    sign_off.approve(config, "r2", "Bo", "enough falls")
    assert_all_say(config, "r2", "pushed")
    assert_all_say(config, "r1", "rejected", last=False)
    assert served(config)


def test_a_rollback(config: PipelineConfig) -> None:
    tiny_runs.run(config, "r1")
    tiny_runs.run(config, "r2", flavour="B")
    sign_off.roll_back(config, None, "Ada", "it misses falls")
    assert_all_say(config, "r2", "superseded")
    assert_all_say(config, "r1", "pushed", last=False)
    assert served(config)


def test_a_component_breaks(config: PipelineConfig) -> None:
    run = tiny_runs.run(config, "r1", breaks=1)
    assert record.record(run).reasons == ["Trainer failed: RuntimeError: the tiny trainer broke"]
    assert_all_say(config, "r1", "failed")


def test_pushed_and_pushed_again_from_the_cache(config: PipelineConfig) -> None:
    first = tiny_runs.run(config, "r1")
    assert first.version and first.version.folder == first.config.serving_dir / served(config)  # type: ignore[operator]
    assert_all_say(config, "r1", "pushed")
    second = tiny_runs.run(config, "r2")
    assert second.version == first.version, "the model in service is not pushed again"
    assert_all_say(config, "r2", "pushed")
    assert_all_say(config, "r1", "pushed", last=False)


def test_pushed_although_the_page_could_not_be_drawn(config: PipelineConfig) -> None:
    run = tiny_runs.run(config, "r1", page="no ink")
    assert [stage.name for stage in run.components if stage.state == "failed"] == ["ReviewPage"]
    written = record.record(run)
    assert [finding.sentence for finding in written.findings] == [
        "There is no review page: no ink",
        "Postures differ.",
    ]
    assert "review" not in written.paths
    assert_all_say(config, "r1", "pushed")


def test_not_blessed_although_the_page_could_not_be_drawn(config: PipelineConfig) -> None:
    tiny_runs.run(config, "r1", serves=0, page="no ink")
    assert_all_say(config, "r1", "not_blessed")


def test_settings_a_b_a_b(config: PipelineConfig) -> None:
    """The fourth run finds all but the push in the cache, and puts its model into service."""
    numbers = []
    for run_id, flavour in zip(("r1", "r2", "r3", "r4"), "ABAB", strict=True):
        run = tiny_runs.run(config, run_id, flavour=flavour)
        assert_all_say(config, run_id, "pushed")
        assert run.version and run.version.folder.name == served(config)
        content = (run.version.folder / "saved_model.pb").read_text()
        assert content == f"not a model, {flavour}"
        numbers.append(run.version.number)
    assert numbers == sorted(set(numbers))
    for run_id, verdict in {
        "r1": "superseded",
        "r2": "pushed",  # its model is the one that r4 pushed again
        "r3": "superseded",
        "r4": "pushed",
    }.items():
        assert_all_say(config, run_id, verdict, last=False)


def test_overtaken_by_a_later_push(config: PipelineConfig) -> None:
    first = tiny_runs.run(config, "r1")
    second = tiny_runs.run(config, "r2", flavour="B")
    assert first.version and second.version
    assert_all_say(config, "r1", "superseded", last=False)
    reasons = record.record(Runs(config.output_root).read("r1")).reasons
    assert reasons == [
        f"The model was pushed as version {first.version.number}; now version"
        f" {second.version.number} is in service."
    ]
    # The later one is taken back: the first serves again.
    shutil.rmtree(second.version.folder)
    assert_all_say(config, "r1", "pushed", last=False)
    assert_all_say(config, "r2", "withdrawn", last=False)
    assert served(config) == first.version.folder.name


def test_the_pushed_folder_is_gone_and_then_damaged(config: PipelineConfig) -> None:
    first = tiny_runs.run(config, "r1")
    shutil.rmtree(config.serving_dir)
    assert_all_say(config, "r1", "withdrawn", last=False)
    assert served(config) is None
    assert not config.serving_dir.exists(), "a page must not make the version's folder again"
    again = tiny_runs.run(config, "r2")
    assert again.version and first.version and again.version.number >= first.version.number
    assert_all_say(config, "r2", "pushed")
    (again.version.folder / "saved_model.pb").write_text("cut")
    assert_all_say(config, "r2", "withdrawn", last=False)
    assert served(config) is None
    whole = tiny_runs.run(config, "r3").version
    assert whole and whole.number > again.version.number
    assert_all_say(config, "r3", "pushed")


def test_a_model_in_service_that_a_stricter_run_refuses(config: PipelineConfig) -> None:
    first = tiny_runs.run(config, "r1")
    tiny_runs.run(config, "r2", serves=0)
    assert_all_say(config, "r2", "not_blessed")
    assert_all_say(config, "r1", "pushed", last=False)
    assert first.version and served(config) == first.version.folder.name


def launched(root: Path, stops: str, end: Callable[["subprocess.Popen[bytes]"], None]) -> Any:
    """Launches a run that stops before or after the push, and ends it."""
    process = subprocess.Popen(  # noqa: S603 (a command of ours)
        [
            *(sys.executable, "-W", "ignore", "-m", "tests.support.tiny_launch"),
            *(str(root), json.dumps({"stops": stops})),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # SIGINT may be ignored where tests run in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    while not (root / stops).exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    end(process)
    output, _ = process.communicate()
    return process.returncode, output.decode()


def _interrupt(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)


def _kill_worker(process: "subprocess.Popen[bytes]") -> None:
    """As the kernel does where memory is short."""
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stops", "end", "verdict", "code"),
    [
        ("before", _interrupt, "failed", 130),
        ("before", _kill_worker, "failed", 1),
        ("after", _interrupt, "pushed", 130),
        ("after", _kill_worker, "pushed", 0),
    ],
)
def test_ended_from_outside(
    config: PipelineConfig, stops: str, end: Callable[[Any], None], verdict: str, code: int
) -> None:
    returned, output = launched(config.output_root, stops, end)
    assert returned == code, output
    (run_id,) = snapshot.runs(config.output_root)
    assert_all_say(config, run_id, verdict)
    assert (served(config) is None) == (verdict == "failed")
    written = record.read(config.record_path)
    assert written
    reason = "The user stopped the run (SIGINT)." if end is _interrupt else "SIGKILL"
    if verdict == "failed":
        assert reason in written.reasons[0]
    else:
        assert written.reasons == []


@pytest.mark.slow
def test_killed_with_its_launcher(config: PipelineConfig) -> None:
    """Nobody is left to write run.json; what can be read is that it did not end."""
    launched(config.output_root, "before", lambda process: process.kill())
    (run_id,) = snapshot.runs(config.output_root)
    assert record.read(config.record_path) is None
    run = Runs(config.output_root).read(run_id)
    assert record.record(run).verdict == "unfinished"
