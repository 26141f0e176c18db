"""Stores the frozen layers' output for each picture, on disk, between epochs and runs.

Two files in a folder: `keys`, the SHA-256 of each picture in order, and `rows`, one
row of float16 for each view of it. Both only grow. Keys are written last, so that rows
without a key, left by a killed run, are overwritten.
"""

import os
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import Final

import numpy as np

DTYPE: Final = np.dtype("<f2")

_KEY_BYTES: Final = 32


class FeatureStore:
    """Rows of one shape, by picture and view.

    Rows are read one at a time, so that memory does not grow with the file.

    Args:
      folder: is created if missing.
      views: rows for each picture.
      shape: of a row.
    """

    def __init__(self, folder: Path, views: int, shape: tuple[int, ...]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._shape, self._views = shape, views
        self._row_bytes = int(np.prod(shape)) * DTYPE.itemsize
        self._keys_file, self._rows_file = _open(folder / "keys"), _open(folder / "rows")
        known = self._keys_file.read()
        count = len(known) // _KEY_BYTES
        self._index = {known[i * _KEY_BYTES : (i + 1) * _KEY_BYTES]: i for i in range(count)}

    def __contains__(self, key: bytes) -> bool:
        """Whether the rows of a picture are stored."""
        return key in self._index

    def append(self, keys: Sequence[bytes], rows: np.ndarray) -> None:
        """Adds pictures.

        Args:
          keys: SHA-256 of each picture, none of them stored yet.
          rows: float [pictures, views, *shape]; rounded to float16.
        """
        start = len(self._index)
        content = np.ascontiguousarray(rows, DTYPE)
        assert content.shape == (len(keys), self._views, *self._shape)  # noqa: S101 (a caller's bug, not bad input)
        _write(self._rows_file.fileno(), content.tobytes(), start * self._views * self._row_bytes)
        os.fsync(self._rows_file.fileno())
        _write(self._keys_file.fileno(), b"".join(keys), start * _KEY_BYTES)
        self._index |= {key: start + offset for offset, key in enumerate(keys)}

    def positions(self, keys: Sequence[bytes]) -> np.ndarray:
        """The positions of pictures.

        Args:
          keys: SHA-256 of each picture.

        Returns:
          int64 [pictures], for `read`.

        Raises:
          KeyError: one of them is not stored.
        """
        return np.array([self._index[key] for key in keys], np.int64)

    def read(self, positions: np.ndarray, views: np.ndarray) -> np.ndarray:
        """Reads one row for each pair of position and view.

        Args:
          positions: int64 [n], from `positions`.
          views: int64 [n], below the number of views.

        Returns:
          float16 [n, *shape].
        """
        file = self._rows_file.fileno()
        rows = np.empty((len(positions), *self._shape), DTYPE)
        for row, place in zip(rows, positions * self._views + views, strict=True):
            content = os.pread(file, self._row_bytes, int(place) * self._row_bytes)
            row[...] = np.frombuffer(content, DTYPE).reshape(self._shape)
        return rows


def _open(path: Path) -> FileIO:
    path.touch()
    return path.open("r+b", buffering=0)


def _write(descriptor: int, content: bytes, offset: int) -> None:
    """Writes all of the content; a single `pwrite` may write less."""
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
