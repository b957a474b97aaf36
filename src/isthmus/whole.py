"""Files that appear whole or not at all, and never in the place of another."""

import os
from pathlib import Path


def write_whole(path: str | Path, data: bytes) -> None:
    """Write a file under a temporary name beside its own, then rename it.

    Parameters
    ----------
    path : str or Path
        The file, which is replaced if it is there.
    data : bytes
        All of it.

    Raises
    ------
    OSError
        It cannot be written; what was there is as it was.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a"
    >>> write_whole(path, b"text")
    >>> path.read_bytes()
    b'text'
    """
    path = Path(path)
    partial = path.with_name(path.name + ".writing")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def refuse_existing(path: str | Path) -> None:
    """Raise where something is at a path already.

    Parameters
    ----------
    path : str or Path
        Of a file or folder that is to be written.

    Raises
    ------
    FileExistsError
        It is there.

    Examples
    --------
    >>> import tempfile
    >>> refuse_existing(Path(tempfile.mkdtemp()) / "new")
    """
    if Path(path).exists():
        raise FileExistsError(f"{path} exists: remove it, or write elsewhere")
