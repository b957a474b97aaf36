"""Files and folders that a source is read from."""

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlencode

from isthmus.sources.decoding import MODALITIES


def existing(place: str | Path) -> Path:
    """Return the file or folder at `place`."""
    path = Path(place).expanduser()
    if not str(place):
        raise ValueError(
            "expected a file or folder after the kind of source, as in folder:photos, found none"
        )
    if not path.exists():
        raise FileNotFoundError(f"no such file or folder: {path}")
    return path


def inside(root: Path, name: str) -> Path:
    """Return the file or folder that an option names: in `root`, or else from where we are."""
    return existing(root / name if (root / name).exists() else name)


def folders(root: Path, option: str | None, usual: Iterable[str]) -> list[Path]:
    """Return the folders of media: the one that an option names, or those of the `usual` ones that exist.

    The root itself, named ``.``, counts where it holds media.
    """
    if option is not None:
        return [inside(root, option)]
    found = [root / name for name in usual if (root / name).is_dir()]
    return [folder for folder in found if folder != root or any(map(modality, root.iterdir()))]


def media(name: str, where: list[Path]) -> Path | None:
    """Return the file of this name in the first folder that has it; None where there is no folder.

    A name that no folder has is expected in the first.
    """
    found = (folder / name for folder in where if os.path.isfile(folder / name))  # of too long a name too
    return next(found, where[0] / name) if where else None


def modality(path: Path) -> str:
    """Return image, audio or video, as a file's suffix says; nothing for others and for hidden files."""
    return "" if path.name.startswith(".") else MODALITIES.get(path.suffix.lower(), "")


def tables(root: Path, pattern: str, splits: tuple[str, ...], split: str | None) -> dict[str, Path]:
    """Return the file of each split, or of one, where `pattern` has {} in the place of the split's name."""
    if split is not None and split not in splits:
        raise ValueError(f"unknown split {split!r}, expected one of {', '.join(splits)}")
    names = {part: pattern.format(part) for part in splits if split in (None, part)}
    found = {part: root / name for part, name in names.items() if (root / name).is_file()}
    if not found:
        raise FileNotFoundError(f"{root}: expected {' or '.join(names.values())}, found {contents(root)}")
    return found


def title(kind: str, place: str, split: str | None, **options: str | None) -> str:
    """Return a source's name, which tells its items from others and opens it again."""
    given = {key: value for key, value in {"split": split, **options}.items() if value is not None}
    return f"{kind}:{place}" + (f"?{urlencode(given, safe='/:,')}" if given else "")


def contents(root: Path) -> str:
    """Return some names in a folder, to say in an error what was found."""
    if not root.is_dir():
        return "a file"
    names = sorted(path.name for path in root.iterdir())
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "nothing"
