"""Whole files or none: everything is written beside its place first, then moved there."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from connectors.reports.errors import ReportsNotWritten


def replace_all(folder: Path, files: Mapping[str, bytes], language: str) -> tuple[Path, ...]:
    """Put `files` (name -> content) into `folder`; the old ones stay until every new one is complete.

    Raises ReportsNotWritten, with what to do, when the disk is full or the folder cannot be written.
    """
    waiting: dict[Path, Path] = {}
    now = folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            now = folder / name
            now.parent.mkdir(exist_ok=True)
            waiting[now] = _beside(now, content)
        for path, temporary in waiting.items():
            now = path
            temporary.replace(path)
    except OSError as problem:
        _remove(waiting.values())
        raise _in_words(problem, folder, now, language) from problem
    return tuple(waiting)


def _beside(path: Path, content: bytes) -> Path:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp makes it private; the list is meant to be read
    except OSError:
        _remove([temporary])
        raise
    return temporary


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _in_words(problem: OSError, folder: Path, file: Path, language: str) -> ReportsNotWritten:
    match problem.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return ReportsNotWritten("full", language, folder=folder)
        case errno.EEXIST | errno.ENOTDIR:
            return ReportsNotWritten("folder", language, folder=folder)
        case errno.EACCES | errno.EPERM | errno.EROFS | errno.EISDIR | errno.EBUSY:
            return ReportsNotWritten("denied", language, folder=folder, file=file.name)
        case _:
            return ReportsNotWritten("other", language, folder=folder, reason=problem.strerror or "OSError")
