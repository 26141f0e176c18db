"""The launcher: starts the worker process, shows its progress, and ends it with the user."""

import fcntl
import json
import logging
import os
import selectors
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from rich.console import Console

from components import processes
from components.errors import InputError, memory_was_short
from components.examples import contract
from components.files import owner_only
from components.ingest import layout
from components.progress import EVENTS_FD
from pipeline import beam
from pipeline.config import PipelineConfig
from pipeline.process import base_weights
from pipeline.process.view import RunView, short_path, show
from pipeline.process.worker import Job
from pipeline.runs import metadata_file, snapshot
from pipeline.runs import record as records
from pipeline.runs.reader import Runs, early
from pipeline.runs.record import Record

WORKER: Final = processes.python("pipeline.process.worker")
STOPPED: Final = "Stopped. Finished steps are kept: the same command continues after them."

# Signals that end a worker when memory is short, before it can say so, and who sends them.
_WITHOUT_A_WORD: Final[dict[int, str]] = {
    signal.SIGKILL: "the kernel",
    signal.SIGSEGV: "TensorFlow",
}
_GRACE: Final = 5.0  # seconds between asking the worker to end and ending it
_POLL: Final = 0.5  # seconds between looks at a worker that says nothing
_LEAST_SPACE: Final = 2**20  # bytes of free disk; with less no step can finish
_LOG_TAIL: Final = 64 * 1024  # bytes at the end of the log that are searched for the cause


def launch(config: PipelineConfig, console: Console, beam_args: Sequence[str] | None = None) -> int:
    """Runs everything from tranches to verdict.

    Args:
      config: the settings of the run.
      console: where the user looks.
      beam_args: Beam's options; None for this machine's.

    Returns:
      The exit status, see `record.EXIT_STATUS`.

    Raises:
      InputError: the settings cannot work; nothing was started.
      KeyboardInterrupt: the user ended the run; so is the worker.
    """
    started = time.time()
    run_id = snapshot.new_name(config.output_root, started)
    _announce(config, run_id, console)
    check(config)
    with owner_only(), output_folder(config):
        if config.metadata is None:
            metadata_file.check(config.metadata_path)
        check_earlier_runs(config)
        if config.metadata is None:
            metadata_file.check_age(config)
        snapshot.begin(run_id, config, started)
        args = list(beam_args or beam.local_args())
        return _run(Job(run_id=run_id, config=config, beam_args=args), console)


def check(config: PipelineConfig) -> None:
    """Refuses a run that cannot work, as far as that can be known before it starts.

    Args:
      config: its settings.

    Raises:
      InputError: it cannot.
    """
    contract.check()
    base_weights.check(config)
    if config.metadata is not None:
        config.metadata.password()
    if config.data_root is not None:
        layout.discover(config.data_root)


def check_earlier_runs(config: PipelineConfig) -> None:
    """Refuses a run that may not follow the earlier runs of its output folder.

    Args:
      config: its settings.

    Raises:
      InputError: it may not.
    """
    _keep_demo_apart(config)
    _keep_runs_together(config)


def supervise(
    command: Sequence[str],
    job: Job,
    log: Path,
    on_event: Callable[[dict[str, Any]], None],
    on_silence: Callable[[], None] = lambda: None,
) -> int:
    """Runs a worker to its end, in a process group of its own.

    Args:
      command: the worker's command line; it gets the job on its standard input.
      job: what it is to do.
      log: file that its output is appended to.
      on_event: called with each event.
      on_silence: called twice a second while there is none.

    Returns:
      The worker's exit status; negative, the signal that ended it. None of its
      processes is left running, also if a call raises or the user interrupts.
    """
    reader, writer = os.pipe()
    with log.open("ab") as log_file, os.fdopen(reader, "rb", buffering=0) as events:
        process = subprocess.Popen(  # noqa: S603 (a command of ours)
            command,
            stdin=subprocess.PIPE,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            pass_fds=(writer,),
            start_new_session=True,
            env=processes.environment() | {EVENTS_FD: str(writer)},
        )
        os.close(writer)
        assert process.stdin is not None  # noqa: S101 (for the type checker)
        try:
            with suppress(BrokenPipeError):  # it ended at once; its exit status says so
                process.stdin.write(job.model_dump_json().encode() + b"\n")
                process.stdin.flush()  # and stays open: the worker ends when it closes
            for event in _events(events, process.pid):
                if event is None:
                    on_silence()
                else:
                    on_event(event)
        finally:
            _end(process)
        return process.returncode


def last_words(log: Path) -> str:
    """The cause at the end of a log: that memory was short, or else its last line.

    The last line is the exception if Python could print it. C++ code that ran out of memory
    says so before a trace of all threads.
    """
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_TAIL))
        lines = file.read().decode(errors="replace").splitlines()
    last = [line.strip()[:300] for line in reversed(lines) if line.strip()]
    return next(filter(None, map(memory_was_short, last)), "") or next(iter(last), "")


def _why_ended(status: int, log: Path) -> str:
    """Says why a worker left no record; some signals suggest that memory was short."""
    how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
    if sender := _WITHOUT_A_WORD.get(-status):
        return (
            f"The worker process ended with {how}, as {sender} ends it when memory is short. If it"
            " was, give the same command with more memory: it continues after the finished steps."
        )
    if shutil.disk_usage(log.parent).free < _LEAST_SPACE:  # then the log may break off anywhere
        return (
            f"There is no space left on the disk of {log.parent}. Free some, and give"
            " the same command again: it continues after the finished steps."
        )
    words = last_words(log)
    return f"The worker process ended with {how}" + (f": {words}" if words else ".")


def _announce(config: PipelineConfig, run_id: str, console: Console) -> None:
    data = "demo tranches" if config.data_root is None else short_path(config.data_root)
    console.print(
        f"Run {run_id}: {data} -> {short_path(config.output_root)}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    if config.is_demo:
        console.print(
            "No data was given, so pictures are drawn. They show that the machinery works,"
            " not clinical accuracy.",
            style="yellow",
            soft_wrap=True,
        )


@contextmanager
def output_folder(config: PipelineConfig) -> Iterator[None]:
    """Makes the output folder and locks it against other runs.

    The lock is released when the process ends, however it ends.
    """
    try:
        config.logs_dir.mkdir(parents=True, exist_ok=True)
        lock = (config.output_root / ".lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"The output folder {config.output_root} cannot be written: {error.strerror}."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = f" ({words})" if (words := lock.read().strip()) else ""
            raise InputError(
                f"Another run{holder} is writing to {config.output_root}; wait for it or name"
                " another folder with --output-root."
            ) from error
        lock.truncate(0)
        lock.write(
            f"process {os.getpid()} on {socket.gethostname()}, since"
            f" {datetime.now(UTC).isoformat(' ', 'seconds')}"
        )
        lock.flush()
        metadata_file.own(config.metadata_path)
        yield


def _keep_demo_apart(config: PipelineConfig) -> None:
    """Refuses to push a model of drawn pictures over one of the user's data."""
    last = records.read(config.record_path)
    if config.is_demo and last is not None and not last.demo:
        raise InputError(
            f"{config.output_root} holds runs on your own data, which the demo must not mix"
            " with; name the data with --data-root (make run: DATA=), or another folder with"
            " --output-root (OUT=)."
        )


def _keep_runs_together(config: PipelineConfig) -> None:
    """Refuses to keep the runs of one folder partly in a file and partly on a server.

    A purge would miss the artifacts that only the other one knows.
    """
    kept = snapshot.settings(config.output_root)
    if snapshot.runs(config.output_root) and (kept.metadata is None) != (config.metadata is None):
        raise InputError(
            f"The runs in {config.output_root} are kept in {kept.metadata_store}, not in"
            f" {config.metadata_store}; go on with [metadata] as it was, or name another folder"
            " with --output-root (OUT=)."
        )


def _run(job: Job, console: Console) -> int:
    log = job.config.log_path(job.run_id)
    view = RunView(console)
    try:
        with signals_interrupt(), view:
            status = supervise(WORKER, job, log, view.handle, view.remind)
    except KeyboardInterrupt as stop:
        _end_early(job, view, str(stop) or "The user stopped the run (SIGINT).")
        raise KeyboardInterrupt(STOPPED) from None
    result = records.read(job.config.record_path)
    if status != 0 or result is None or result.run_id != job.run_id:
        result = _end_early(job, view, _why_ended(status, log))
    show(result, console)
    return result.exit_status


def _end_early(job: Job, view: RunView, reason: str) -> Record:
    """Writes run.json in place of a worker that could not; it may have pushed all the same."""
    root = job.config.output_root
    kept = snapshot.read(root, job.run_id)
    # Components are in ML Metadata; nobody else knows how far ingestion came.
    stages = kept.stages if kept.nodes else view.stages()
    kept = kept.model_copy(update={"stages": stages, "failure": kept.failure or reason})
    snapshot.write(kept)
    try:
        run = Runs(root).read(job.run_id)
    except InputError as error:  # the database may be why the run ended
        logging.debug("no components can be read", exc_info=error)
        run = early(kept)
    result = records.record(run)
    records.write(result, job.config.record_path)
    return result


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Lets a closed terminal or a `kill` end the run as Ctrl-C does.

    A signal that is ignored, as SIGHUP under nohup, stays so.
    """

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt(f"The run was ended by {signal.Signals(number).name}.")

    former = {
        number: signal.signal(number, interrupt)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _events(pipe: IO[bytes], pid: int) -> Iterator[dict[str, Any] | None]:
    """Yields events until the worker has ended and all it wrote is read; None for a silence."""
    waiting = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            # Checked before reading, so that all it wrote before it ended is in the pipe.
            ended = _ended(pid)
            if selector.select(0 if ended else _POLL):
                chunk = os.read(pipe.fileno(), 65536)
                if not chunk:
                    # No writer is left; the worker is ending.
                    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
                    return
                *lines, waiting = (waiting + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)
            elif ended:
                return
            else:
                yield None


def _ended(pid: int) -> bool:
    """Whether a child has ended, without taking its exit status and freeing its id."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ends what is left of a worker's process group; `wait` comes last, since it frees the id."""
    if not _ended(process.pid):
        os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while not _ended(process.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdin:
        with suppress(BrokenPipeError):
            process.stdin.close()
    process.wait()
