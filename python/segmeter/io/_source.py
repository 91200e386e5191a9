"""Where the bytes of a file come from, and how what goes wrong with them is told."""

from __future__ import annotations

import io
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

from ._types import ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator

PathOrBytes: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]

HEAD_BYTES = 65536


@dataclass(slots=True)
class Source:
    """The bytes of one file: its first ones at once, all of them when a reader opens it.

    Parameters
    ----------
    origin : str, os.PathLike, bytes-like or binary file object
        A path; or the content itself, in memory.

    Attributes
    ----------
    name : str
        The path as it was given, or ``"<bytes>"``: errors begin with it.
    head : bytes
        The first 64 KiB (the whole content if it is no longer).
    size : int
        Number of bytes.
    """

    origin: PathOrBytes
    name: str = field(init=False)
    head: bytes = field(init=False)
    size: int = field(init=False)
    _data: bytes | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if isinstance(self.origin, (str, os.PathLike)):
            self.name = os.fspath(self.origin)
            self.head, self.size = _head_of_file(self.name)
            if self.size == len(self.head):
                self._data = self.head
        else:
            self.name, self._data = _content(self.origin)
            self.head, self.size = self._data[:HEAD_BYTES], len(self._data)
        if self.size == 0:
            raise ReadError(self.name, "is empty (0 bytes)")

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open the bytes for reading; OSError becomes `ReadError`."""
        if self._data is not None:
            yield io.BytesIO(self._data)
            return
        with _os_errors(self.name):
            stream = Path(self.name).open("rb")  # noqa: SIM115 (closed below, other errors there)
        with stream:
            yield stream

    def read(self) -> bytes:
        """Read all bytes."""
        if self._data is not None:
            return self._data
        with self.open() as stream, _os_errors(self.name):
            return stream.read()

    def error(self, reason: str) -> ReadError:
        """Make the error that says what is wrong with this file."""
        return ReadError(self.name, reason)

    @contextmanager
    def decoding(self, format_name: str, package: str | None = None) -> Iterator[None]:
        """Turn whatever a decoder raises on this file's bytes into one `ReadError`.

        A damaged file can make a decoder fail in any way at all, so every ``Exception`` is the
        file's fault here; blocks under this guard hold little besides calls of the decoder.
        """
        try:
            yield
        except ReadError:
            raise
        except ImportError as error:
            raise self.error(
                f'reading {format_name} needs {package}: pip install "segmeter[eval]"'
            ) from error
        except MemoryError as error:
            raise self.error("needs more memory than this process can get") from error
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise self.error(f"damaged or unsupported {format_name}: {reason}") from error


def _content(origin: object) -> tuple[str, bytes]:
    """Name and content of something that is not a path."""
    if isinstance(origin, (bytes, bytearray, memoryview)):
        return "<bytes>", bytes(origin)
    read = getattr(origin, "read", None)
    content = read() if callable(read) else None
    if not isinstance(content, bytes):
        raise TypeError(
            "path must be a str, an os.PathLike, bytes-like content or a binary file object, "
            f"not {type(origin).__name__}"
        )
    return str(getattr(origin, "name", "<stream>")), content


def _head_of_file(name: str) -> tuple[bytes, int]:
    """Read the first bytes of a regular file, and its size."""
    with _os_errors(name):
        path = Path(name)
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ReadError(name, "is a directory, not a file")
        if not stat.S_ISREG(mode):  # opening a FIFO would wait for ever
            raise ReadError(name, "is not a regular file")
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
            return head, max(os.fstat(stream.fileno()).st_size, len(head))


@contextmanager
def _os_errors(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ReadError(name, "file not found") from error
    except PermissionError as error:
        raise ReadError(name, "no permission to read it") from error
    except OSError as error:
        raise ReadError(name, f"cannot be read: {error.strerror or error}") from error
    except ReadError:
        raise
    except ValueError as error:  # a NUL character in the path
        raise ReadError(name, f"is no valid path: {error}") from error
