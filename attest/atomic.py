"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from attest.errors import InputError

__all__ = ["refuse_existing", "refuse_output", "refuse_stdout", "write_atomically", "write_directory_atomically"]


def refuse_stdout(path: Path) -> None:
    """Refuse ``-``, which names stdout by custom, as a place for what is more than one printed document.

    Raises
    ------
    InputError
    """
    if path == Path("-"):
        raise InputError("not-to-stdout", "cannot go to stdout", fix="name a file or folder", where=str(path))


def refuse_existing(path: Path, *, force: bool) -> None:
    """Refuse stdout, and a place where something stands already, unless ``force`` is set.

    A device, pipe or socket is refused even then: it would be replaced by a file, ``/dev/null`` for everybody.

    Raises
    ------
    InputError
    """
    refuse_stdout(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        message = "is a device, a pipe or a socket, which is not replaced"
        raise InputError("cannot-write", message, fix="name a file or folder", where=str(path))
    if (path.exists() or path.is_symlink()) and not force:
        raise InputError("output-exists", "is there already", fix="give another name, or --force", where=str(path))


def refuse_output(path: Path, *, force: bool) -> None:
    """Refuse, before any work is done, a place where its result could not be written.

    Raises
    ------
    InputError
        Something stands there and ``force`` is not set, or its folder is missing or may not be written to.
    """
    refuse_existing(path, force=force)
    if not path.parent.is_dir():
        raise _no_folder(path)
    if not os.access(path.parent, os.W_OK):
        raise InputError(
            "cannot-write", "lies in a folder that may not be written to", fix="choose another place", where=str(path)
        )


def _no_folder(path: Path) -> InputError:
    return InputError("cannot-write", "lies in a folder that is not there", fix="make the folder", where=str(path))


def _cannot_write(path: Path, error: OSError) -> InputError:
    if isinstance(error, FileNotFoundError):
        return _no_folder(path)
    return InputError(
        "cannot-write", f"cannot be written ({error.strerror})", fix="choose another place", where=str(path)
    )


def write_atomically(path: Path, data: bytes, *, force: bool = False, mode: int = 0o644) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    InputError
        The file is there already and ``force`` is not set, or it cannot be written.
    """
    refuse_existing(path, force=force)
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def write_directory_atomically(path: Path, files: Mapping[str, bytes], *, force: bool = False) -> None:
    """Write a folder of files whole or not at all.

    Parameters
    ----------
    path : Path
        The folder; its parent must exist. With ``force`` what stood there is replaced, or stays whole.
    files : mapping of str to bytes
        Relative POSIX paths and contents.

    Raises
    ------
    InputError
        The folder is there already and ``force`` is not set, or it cannot be written.
    """
    refuse_existing(path, force=force)
    temporary = None
    try:
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        made, old = temporary / "made", temporary / "old"
        made.mkdir()
        for name, data in files.items():
            file = made / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        made.chmod(0o755)
        try:
            if path.is_dir() and not path.is_symlink():
                path.replace(old)
            made.replace(path)
        except BaseException:
            if old.is_dir() and not path.exists():
                old.replace(path)
            raise
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
