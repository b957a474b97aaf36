"""A folder of images, sounds or videos, with captions in one of the ways in which people keep them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from isthmus.sources.places import contents, existing, inside, modality, title
from isthmus.sources.records import Record, items, merged
from isthmus.sources.source import BadItem, Source
from isthmus.sources.tables import Row, column, read_lines, read_rows

_TABLES = ("captions.txt", "captions.csv", "captions.tsv", "captions.jsonl", "metadata.csv", "metadata.jsonl")
_TOKENS = ("*.token", "*.token.txt")  # Flickr8k's and Flickr30k's own
_IMAGE = ("image", "image_name", "file_name", "filename", "file", "path", "audio", "video")
_CAPTION = ("caption", "captions", "text", "sentence", "comment")


def folder(
    place: str,
    *,
    split: str | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    captions: str | None = None,
    image_column: str | None = None,
    caption_column: str | None = None,
) -> Source:
    """Open a folder of images, sounds or videos.

    Parameters
    ----------
    place : str
        The folder. Its files are taken with those of its subfolders, sorted.
    split : str, optional
        The name of a subfolder; or of a ``Flickr_8k.SPLITImages.txt``; or what
        the column ``split`` of the table says.
    on_error : {"raise", "skip"}
        What to do at a bad item.
    captions : str, optional
        A .csv, .tsv or .jsonl table or Flickr8k's .token.txt. By default the
        one that is there; or else a .txt beside each file, with one caption
        per line; or else there are none.
    image_column, caption_column : str, optional
        Columns of the table; by default those with a usual name.

    Returns
    -------
    Source
        With a table, the items are those that it names, and of captions alone where the folder has no media.
    """
    root = existing(place)
    if not root.is_dir():
        raise ValueError(f"{root}: expected a folder, found a file")
    names = _names(root, split)
    if split and names is None and (root / split).is_dir():
        root, inner = root / split, None  # the folder is the split
    else:
        inner = split if names is None else None
    table = inside(root, captions) if captions else _table(root)
    if inner and table is None:
        raise ValueError(
            f"{root}: expected a folder {split}, a Flickr_8k.{split}Images.txt or a table with a column split, "
            f"found {contents(root)}"
        )
    files = sorted(path for path in root.rglob("*") if modality(path))
    columns = ((image_column,) if image_column else _IMAGE, (caption_column,) if caption_column else _CAPTION)

    def read() -> Iterator[Record | BadItem]:
        if table is None:
            yield from _beside(root, files, names)
        elif any(table.match(pattern) for pattern in _TOKENS):
            yield from _placed(merged(_read_tokens(table)), files, names)
        else:
            yield from _placed(merged(_read_table(table, columns, inner)), files, names)

    if not files and table is None:
        raise ValueError(
            f"{root}: expected images, sounds, videos or a table of captions, found {contents(root)}"
        )
    held = sorted({modality(path) for path in files}, key=("image", "audio", "video").index)
    told = table is not None or any(path.with_suffix(".txt").is_file() for path in files[:1])
    return Source(
        title(
            "folder",
            place,
            split,
            captions=captions,
            image_column=image_column,
            caption_column=caption_column,
        ),
        lambda: items(read()),
        count=len(files) if table is None and names is None else None,
        modalities=(*held, *("text",) * told),
        on_error=on_error,
    )


def _names(root: Path, split: str | None) -> dict[str, str] | None:
    """Return what Flickr8k's list of a split names, with where; None where there is no such list."""
    wanted = f"Flickr_8k.{'dev' if split == 'val' else split}Images.txt"
    found = sorted([*root.glob(wanted), *root.glob(f"*/{wanted}")])
    if not split or not found:
        return None
    lines = enumerate(read_lines(found[0]), 1)
    return {line.strip(): f"{found[0]}, row {number}" for number, line in lines if line.strip()}


def _table(root: Path) -> Path | None:
    for level in ("", "*/"):
        found = sorted({path for name in (*_TABLES, *_TOKENS) for path in root.glob(level + name)})
        found = [path for path in found if not path.name.endswith(".lemma.token.txt")]  # words cut to stems
        if len(found) > 1:
            names = " and ".join(str(path.relative_to(root)) for path in found)
            raise ValueError(f"{root} has captions in {names}: choose a split, or one with captions=FILE")
        if found:
            return found[0]
    return None


def _beside(root: Path, files: list[Path], names: dict[str, str] | None) -> Iterator[Record | BadItem]:
    told = any(path.with_suffix(".txt").is_file() for path in files)
    for path in files:
        if names is not None and path.name not in names:
            continue
        text, said = path.with_suffix(".txt"), []
        if text.is_file():
            try:
                lines = [(f"{text}, row {number}", line) for number, line in enumerate(read_lines(text), 1)]
            except ValueError as error:
                yield BadItem(str(error))
                continue
            said = [(where, line) for where, line in lines if line.strip()]
        if told and not said:
            yield BadItem(f"{path}: expected a caption in {text.name}, found {'no' * (not text.is_file())}ne")
        else:
            yield Record(str(path), path.relative_to(root).as_posix(), said, path, modality(path))


def _placed(
    records: Iterator[Record | BadItem], files: list[Path], names: dict[str, str] | None
) -> Iterator[Record | BadItem]:
    """Give each record the file that it names, by the end of its path; leave out those of other splits."""
    held: dict[str, list[Path]] = {}
    for path in files:
        held.setdefault(path.name, []).append(path)
    missing = dict(names or {})
    for record in records:
        if isinstance(record, BadItem) or not isinstance(record.id, str):
            yield record
            continue
        if names is not None and missing.pop(record.id, None) is None:
            continue
        wanted = Path(record.id)
        found = [
            path for path in held.get(wanted.name, []) if path.parts[-len(wanted.parts) :] == wanted.parts
        ]
        if len(found) > 1:
            yield BadItem(f"{record.where}: expected one file {record.id}, found {found[0]} and {found[1]}")
            continue
        if found:
            record.media, record.modality = found[0], modality(found[0])
        elif files:
            record.media, record.modality = files[0].parent / wanted, modality(wanted) or "file"
        yield record
    for name, where in missing.items():
        yield BadItem(f"{where}: expected captions of {name}, found none")


def _read_tokens(path: Path) -> Iterator[Record | BadItem]:
    for number, line in enumerate(read_lines(path), 1):
        where = f"{path}, row {number}"
        name, tab, caption = line.partition("\t")
        image, mark, _ = name.rpartition("#")
        if not line.strip():
            continue
        if not (tab and mark):
            yield BadItem(
                f"{where}: expected NAME.jpg#NUMBER, a TAB and a caption, found {line.strip()[:40]!r}"
            )
        else:
            image = image.removesuffix(
                ".1"
            )  # as one line of Flickr8k's file has it, of 2258277193_586949ec62.jpg
            yield Record(where, image, [(where, caption)])


def _read_table(
    path: Path, columns: tuple[tuple[str, ...], tuple[str, ...]], split: str | None
) -> Iterator[Record | BadItem]:
    found: set[str] = set()
    for row in read_rows(path):
        if isinstance(row, BadItem):
            yield row
            continue
        if split:
            part = str(row.cells[column(row, ("split",), "splits")]).strip()
            found.add(part)
            if part != split:
                continue
        yield _record(row, columns)
    if split and split not in found:
        raise ValueError(
            f"{path}: expected rows of the split {split!r}, found {', '.join(sorted(found)) or 'none'}"
        )


def _record(row: Row, columns: tuple[tuple[str, ...], tuple[str, ...]]) -> Record | BadItem:
    file = row.cells[column(row, columns[0], "files")]
    said = row.cells[column(row, columns[1], "captions")]
    texts = said if isinstance(said, list) else [said]
    if not texts:
        return BadItem(f"{row.where}: expected a caption, found an empty list")
    return Record(
        row.where, file.strip() if isinstance(file, str) else file, [(row.where, text) for text in texts]
    )
