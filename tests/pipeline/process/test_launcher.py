"""The launching process: events, crashes, signals, locks. Its workers here are small scripts."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from components.errors import InputError
from pipeline import config
from pipeline.process import launcher
from pipeline.process.worker import Job
from pipeline.runs import reader, record, snapshot

ROOT = Path(__file__).resolve().parents[3]


def job(folder: Path) -> Job:
    settings = config.load(
        None, data_root=folder / "data", output_root=folder / "out", base_weights="none"
    )
    settings.logs_dir.mkdir(parents=True, exist_ok=True)
    snapshot.begin("r1", settings, time.time())
    return Job(run_id="r1", config=settings, beam_args=[])


def script(folder: Path, text: str) -> tuple[str, ...]:
    """A worker that reads its job, as the real one does, and then does what the text says."""
    path = folder / "worker.py"
    path.write_text(
        "import json, os, signal, subprocess, sys, time\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from components.progress import emit\n"
        "from pipeline.process import worker\n"
        "job = worker.Job.model_validate_json(worker._read_line(0))\n"
        f"{text}\n"
    )
    return sys.executable, str(path)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def within(seconds: float, true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_events_arrive_whole_and_in_order(tmp_path: Path) -> None:
    command = script(
        tmp_path,
        "print('to the log', flush=True)\n"
        "for i in range(20_000): emit('number', i=i, job=job.run_id)\n"
        "sys.exit(7)",
    )
    events: list[dict[str, Any]] = []
    log = tmp_path / "log"
    assert launcher.supervise(command, job(tmp_path), log, events.append) == 7
    assert [event["i"] for event in events] == list(range(20_000))
    assert {event["job"] for event in events} == {"r1"}
    assert log.read_text() == "to the log\n"


def test_a_process_left_behind_neither_holds_up_nor_survives(tmp_path: Path) -> None:
    # The child inherits the pipe of events, so that it never comes to its end.
    command = script(
        tmp_path,
        "fd = int(os.environ['LOOKDEEP_EVENTS_FD'])\n"
        "child = subprocess.Popen(['sleep', '60'], pass_fds=[fd])\n"
        "emit('child', pid=child.pid)",
    )
    events: list[dict[str, Any]] = []
    started = time.monotonic()
    assert launcher.supervise(command, job(tmp_path), tmp_path / "log", events.append) == 0
    assert time.monotonic() - started < 10
    assert within(5, lambda: not alive(events[0]["pid"]))  # the kernel takes a moment


def test_an_error_of_the_view_ends_the_worker(tmp_path: Path) -> None:
    command = script(tmp_path, "emit('pid', pid=os.getpid())\ntime.sleep(60)")
    pids: list[int] = []

    def broken(event: dict[str, Any]) -> None:
        pids.append(event["pid"])
        raise RuntimeError("the view broke")

    with pytest.raises(RuntimeError, match="the view broke"):
        launcher.supervise(command, job(tmp_path), tmp_path / "log", broken)
    assert not alive(pids[0])


def test_a_worker_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "_GRACE", 0.5)
    command = script(
        tmp_path,
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "emit('pid', pid=os.getpid())\ntime.sleep(60)",
    )
    pids: list[int] = []

    def interrupt(event: dict[str, Any]) -> None:
        pids.append(event["pid"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launcher.supervise(command, job(tmp_path), tmp_path / "log", interrupt)
    assert not alive(pids[0])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("emit('stage', name='A', state='running')\nos.abort()", "ended with signal SIGABRT"),
        ("raise ValueError('some reason')", "ended with status 1: ValueError: some reason"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL, as the kernel ends it when memory is"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV, as TensorFlow ends it when memory is"),
        ("raise MemoryError", "ended with status 1: Memory was short (MemoryError); with more"),
        ("pass", "ended with status 0"),
    ],
)
def test_a_worker_without_a_record_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    monkeypatch.setattr(launcher, "WORKER", script(tmp_path, text))
    console = Console(record=True, width=200)
    task = job(tmp_path)
    earlier = record.record(reader.early(snapshot.read(task.config.output_root, "r1")))
    record.write(earlier.model_copy(update={"run_id": "r0"}), task.config.record_path)
    assert launcher._run(task, console) == 1
    written = json.loads(task.config.record_path.read_text())
    assert (written["run_id"], written["verdict"]) == ("r1", "failed")
    assert reason in written["reasons"][0]
    assert written["reasons"][0] in console.export_text()
    if "emit" in text:
        assert written["components"][0]["name"] == "A"
        assert written["components"][0]["state"] == "failed"


DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
import click
from PIL import Image
from rich.console import Console
from pipeline import config
from pipeline.commands import cli
from pipeline.process import launcher
launcher.WORKER = {worker!r}

@click.command()
def run():
    settings = config.load(None, data_root={data!r}, output_root={out!r}, base_weights="none")
    launcher.launch(settings, Console())

cli.execute(run)
"""


def start(folder: Path, ignored: Sequence[int] = ()) -> tuple["subprocess.Popen[str]", list[int]]:
    """A whole launch whose worker has a child and sleeps; returns it and their two ids."""

    def inherit() -> None:
        # A shell starts background jobs with interrupts ignored, and children inherit that.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)

    data = folder / "data"
    (data / "home").mkdir(parents=True)
    (data / "tranch1_labels.csv").write_text("file_name\n")
    pids = folder / "pids"
    worker = script(
        folder,
        "worker._end_with_parent()\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(pids)!r} + '.new', 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.rename({str(pids)!r} + '.new', {str(pids)!r})\n"
        "time.sleep(60)",
    )
    driver = folder / "driver.py"
    driver.write_text(
        DRIVER.format(root=str(ROOT), worker=worker, data=str(data), out=str(folder / "out"))
    )
    process = subprocess.Popen(  # noqa: S603 (a command of ours)
        [sys.executable, str(driver)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=inherit,
    )
    assert within(20, pids.exists)
    return process, [int(pid) for pid in pids.read_text().split()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_everything_with_one_line(tmp_path: Path, number: int) -> None:
    process, pids = start(tmp_path)
    process.send_signal(number)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.strip() == launcher.STOPPED
    assert "Traceback" not in output + errors
    assert within(5, lambda: not any(alive(pid) for pid in pids))
    written = json.loads((tmp_path / "out" / "run.json").read_text())
    (reason,) = written["reasons"]
    assert signal.Signals(number).name in reason


def test_a_signal_that_is_ignored_at_the_start_stays_so(tmp_path: Path) -> None:
    ignored = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    process, pids = start(tmp_path, ignored)
    for number in ignored:
        process.send_signal(number)
    time.sleep(1)
    assert process.poll() is None and all(map(alive, pids))
    process.kill()
    process.communicate(timeout=20)


def test_the_worker_ends_with_a_launcher_that_is_killed(tmp_path: Path) -> None:
    process, pids = start(tmp_path)
    process.kill()
    process.communicate(timeout=20)
    assert within(5, lambda: not any(alive(pid) for pid in pids))


def test_two_runs_do_not_share_an_output_folder(tmp_path: Path) -> None:
    process, _ = start(tmp_path)
    try:
        settings = config.load(
            None,
            data_root=tmp_path / "data",
            output_root=tmp_path / "out",
            base_weights="none",
        )
        with pytest.raises(
            InputError, match=rf"Another run \(process {process.pid} on .*, since .*\) is writing"
        ):
            launcher.launch(settings, Console(quiet=True))
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_the_lock_of_a_killed_run_is_taken_over(tmp_path: Path) -> None:
    process, _ = start(tmp_path)
    process.kill()
    process.communicate(timeout=20)
    settings, lock = job(tmp_path).config, tmp_path / "out" / ".lock"
    assert lock.read_text().startswith(f"process {process.pid} on ")
    with launcher.output_folder(settings):
        assert lock.read_text().startswith(f"process {os.getpid()} on ")


def test_the_demo_does_not_mix_with_own_data(tmp_path: Path) -> None:
    task = job(tmp_path)
    own = record.record(reader.early(snapshot.read(task.config.output_root, "r1")))
    record.write(own, task.config.record_path)
    settings = config.load(None, output_root=task.config.output_root)
    with pytest.raises(InputError, match="the demo must not mix"):
        launcher.launch(settings, Console(quiet=True))


def test_what_cannot_work_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for settings in (
        config.load(None, data_root=tmp_path / "absent", output_root=out, base_weights="none"),
        config.load(None, output_root=out, base_weights=str(tmp_path / "absent.h5")),
    ):
        with pytest.raises(InputError, match="absent"):
            launcher.launch(settings, Console(quiet=True))
    assert not out.exists()


def test_an_output_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = config.load(None, output_root=tmp_path / "file" / "out")
    with pytest.raises(InputError, match="cannot be written: Not a directory"):
        launcher.launch(settings, Console(quiet=True))


def test_last_words_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 200_000 + b"\nValueError: \xff why\n\n  \n")
    assert launcher.last_words(log) == "ValueError: \ufffd why"
    log.write_bytes(b"")
    assert launcher.last_words(log) == ""
    log.write_text("what():  std::bad_alloc\nFatal Python error: Aborted\n\nExtension modules: a\n")
    assert launcher.last_words(log).startswith("Memory was short (what():  std::bad_alloc); ")


def test_an_unknown_label_refuses_the_data_before_anything_is_trained(tmp_path: Path) -> None:
    """The whole command with the real worker; it never gets as far as importing TFX."""
    data, out = tmp_path / "data", tmp_path / "out put"
    (data / "home").mkdir(parents=True)
    for frame in (1, 2):
        Image.new("RGB", (64, 48)).save(data / "home" / f"clip_cat-1_{frame}.png")
    (data / "tranch1_labels.csv").write_text(
        "file_name,how_many,primary_posture,primary_occluded,staff_patient_other\n"
        "clip_cat-1_1.png,One,Sitting,No,Patient\n"
        "clip_cat-1_2.png,One,Kneeling,No,Patient\n"
    )
    arguments = ("--data-root", data, "--output-root", out, "--base-weights", "none")
    result = subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "local_runner.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert result.returncode == 4, result.stdout + result.stderr
    written = record.read(out / "run.json")
    assert written is not None
    assert written.verdict == "invalid_data"
    (reason,) = written.reasons
    for part in ("Kneeling", "tranch1_labels.csv", "3"):
        assert part in reason
    assert reason in result.stdout
    assert [stage.state for stage in written.components] == ["failed"]
    assert not (out / "metadata.sqlite").exists()
    assert (out / "run.json").stat().st_mode & 0o077 == 0
    assert Path(written.paths["log"]).is_file()
