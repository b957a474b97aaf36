"""Files that appear whole or not at all."""

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
