"""Converts pictures in separate processes, so that a bad file costs nothing but itself.

Decoders are C code that parses untrusted files. A file that crashes its decoder, takes more memory
than is allowed or never finishes is tried once more in a fresh process, and then rejected like any
other unusable file.

The two processes exchange JSON and the bytes of JPEGs and PNGs, never pickles: a process that a
hostile file has taken over must not be able to take over this one.
"""

import fcntl
import io
import json
import os
import re
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from components import processes
from components.ingest import images
from components.ingest.images import ConvertedImage, ImageRejected

# The most expensive picture that is allowed takes four seconds of one core.
MAX_SECONDS: Final = 120.0
_START_SECONDS: Final = 120.0  # imports, on a busy machine

# Signals that end the process through no fault of the file.
_STOPPED: Final = frozenset({signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT})
_HEAD: Final = struct.Struct("<II")  # bytes of the JSON, bytes of the picture
_PNG_LEVEL: Final = 1


class _Ended(Exception):
    """The process ended during a file, or had to be killed; the message says how."""


class _Killed(_Ended):
    """The kernel killed it, as it does when memory is short; a file cannot do that."""


class Converter:
    """A process that converts one file after the other.

    Args:
      turn: a file that is locked while a large picture is decoded, so that the processes that
        share it decode one at a time; None where there is only one process.
    """

    def __init__(self, turn: IO[bytes] | None = None) -> None:
        self._turn = turn
        self._process: subprocess.Popen[bytes] | None = None

    def convert(self, path: Path, size: int) -> ConvertedImage:
        """Does the same as `images.convert`.

        Args:
          path: the file.
          size: side of the square that the result fits, in pixels.

        Raises:
          ImageRejected: the file cannot or must not be used.
          RuntimeError: the process cannot be started, or was stopped from outside.
          MemoryError: it was killed twice; that is the machine's fault, not the file's.
        """
        fields, jpeg = self._ask("convert", path, size)
        return ConvertedImage(jpeg=jpeg, **fields)

    def png(self, path: Path, size: int) -> bytes:
        """Does the same as `images.load_rgb` and returns a PNG; raises the same as `convert`."""
        return self._ask("png", path, size)[1]

    def close(self) -> None:
        """Ends the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # it has nothing to save
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None  # noqa: S101 (for the type checker)
                with suppress(BrokenPipeError):
                    pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, what: str, path: Path, size: int) -> tuple[dict[str, Any], bytes]:
        request = json.dumps([what, str(path), size]).encode() + b"\n"
        try:
            fields, picture = self._try(request)
        except _Ended:
            # Once more, in a fresh process: the machine may have been short of memory.
            try:
                fields, picture = self._try(request)
            except _Killed as error:
                # A rejection would be remembered, even when there is enough memory again.
                raise MemoryError(f"a process that reads pictures {error}, twice") from None
            except _Ended as error:
                raise ImageRejected(f"reading it {error}, twice") from None
        if reason := fields.pop("rejected", None):
            raise ImageRejected(str(reason))
        return fields, picture

    def _try(self, request: bytes) -> tuple[dict[str, Any], bytes]:
        process = self._process or self._start()
        assert process.stdin is not None  # noqa: S101 (for the type checker)
        try:
            with suppress(BrokenPipeError):  # the missing answer says why
                process.stdin.write(request)
                process.stdin.flush()
            return _receive(process, MAX_SECONDS)
        except _Ended as error:
            self.close()
            if -process.returncode in _STOPPED:
                name = signal.Signals(-process.returncode).name
                raise RuntimeError(f"a process that reads pictures was ended by {name}") from None
            raise error
        except BaseException:
            self.close()  # an unread answer would be taken for the next one
            raise

    def _start(self) -> "subprocess.Popen[bytes]":
        turn = () if self._turn is None else (self._turn.fileno(),)
        process = subprocess.Popen(  # noqa: S603 (our own module)
            [*processes.python("components.ingest.converter"), *map(str, turn)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=turn,
            # Threads for linear algebra would only take memory.
            env=processes.environment() | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        self._process = process
        try:
            _receive(process, _START_SECONDS)
        except _Ended as error:
            self.close()
            message = f"the process that reads pictures cannot be started: it {error}"
            raise RuntimeError(message) from None
        return process


class ConverterPool:
    """Converters for the threads of one process, started when they are needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Converter] = []
        self._turn: IO[bytes] | None = None

    @contextmanager
    def lend(self) -> Iterator[Converter]:
        """Yields a converter that no other thread uses until the block ends."""
        with self._lock:
            if self._turn is None:
                self._turn = tempfile.TemporaryFile()  # noqa: SIM115 (open to the end)
            converter = self._idle.pop() if self._idle else Converter(self._turn)
        try:
            yield converter
        finally:
            with self._lock:
                self._idle.append(converter)

    def close(self) -> None:
        """Ends all idle converters."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()


def _receive(process: "subprocess.Popen[bytes]", seconds: float) -> tuple[dict[str, Any], bytes]:
    """Reads an answer.

    Raises:
      _Ended: there is none, and the process has ended.
    """
    deadline = time.monotonic() + seconds
    json_bytes, picture_bytes = _HEAD.unpack(_read(process, _HEAD.size, deadline, seconds))
    fields = json.loads(_read(process, json_bytes, deadline, seconds))
    return fields, _read(process, picture_bytes, deadline, seconds)


def _read(process: "subprocess.Popen[bytes]", count: int, deadline: float, seconds: float) -> bytes:
    assert process.stdout is not None  # noqa: S101 (for the type checker)
    descriptor = process.stdout.fileno()
    content = bytearray()
    while len(content) < count:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            process.kill()
            process.wait()
            raise _Ended(f"takes longer than {seconds:.0f} seconds")
        chunk = os.read(descriptor, count - len(content))
        if not chunk:
            status = process.wait()
            if status == -signal.SIGKILL:
                raise _Killed("was killed")
            how = f"status {status}" if status >= 0 else signal.Signals(-status).name
            raise _Ended(f"crashes the decoder ({how})")
        content += chunk
    return bytes(content)


# -- The process itself -------------------------------------------------------------------


class _Turn:
    """Lets one process at a time decode a large picture; a dead process releases its lock."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> None:
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


def _bound() -> None:
    """Limits the memory that a hostile file can take, and keeps pictures out of core dumps."""
    status = Path("/proc/self/status").read_text()
    used = re.search(r"VmSize:\s+(\d+) kB", status)
    assert used is not None  # noqa: S101 (for the type checker)
    most = 1024 * int(used[1]) + images.MAX_MEMORY_BYTES
    _, limit = resource.getrlimit(resource.RLIMIT_AS)
    # With less memory, good pictures would be rejected.
    if limit != resource.RLIM_INFINITY and limit < most:
        raise MemoryError(
            f"reading pictures may take {most >> 20:,} MiB, and the limit (ulimit -v) is"
            f" {limit >> 20:,} MiB"
        )
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(what: str, path: Path, size: int) -> tuple[dict[str, Any], bytes]:
    try:
        if what == "png":
            encoded = io.BytesIO()
            images.load_rgb(path, size).save(encoded, "PNG", compress_level=_PNG_LEVEL)
            return {}, encoded.getvalue()
        fields = asdict(images.convert(path, size))
        jpeg = fields.pop("jpeg")
        return fields, jpeg
    except ImageRejected as error:
        return {"rejected": str(error)}, b""


def main() -> None:
    """Answers requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    # Keeps the output of libraries out of the answers.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        if len(sys.argv) > 1:
            images.large_turn = _Turn(int(sys.argv[1]))
        _bound()
        fields: dict[str, Any] = {}
        picture = b""  # the first answer says that it is ready
        while True:
            head = json.dumps(fields).encode()
            answers.write(_HEAD.pack(len(head), len(picture)) + head + picture)
            answers.flush()
            line = sys.stdin.buffer.readline()
            if not line:
                return
            what, path, size = json.loads(line)
            fields, picture = _answer(what, Path(path), size)


if __name__ == "__main__":
    main()
