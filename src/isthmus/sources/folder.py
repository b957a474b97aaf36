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
        As in ``Flickr_8k.SPLITImages.txt``; or in the column ``split`` of the
        table, or else the first folder in the names of its files; or, without
        a table, the name of a subfolder.
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
        With a table, the items are those that it names, and of captions alone
        where the folder has no media.
    """
    root = existing(place)
    if not root.is_dir():
        raise ValueError(f"{root}: expected a folder, found a file")
    names, inner = _names(root, split), None
    table = inside(root, captions) if captions else _table(root, "")
    if split and names is None:
        if table is None and (root / split).is_dir():
            root = root / split
        elif table is None or _is_tokens(table):
            raise ValueError(
                f"{root}: expected a folder {split}, Flickr_8k.{split}Images.txt or a table with splits, "
                f"found {contents(root)}"
            )
        else:
            inner = split
    table = table or _table(root, "") or _table(root, "*/")
    listing = sorted(root.rglob("*"))
    files = [path for path in listing if modality(path)]
    texts = {path.with_suffix("") for path in listing if path.suffix == ".txt"}
    told = any(path.with_suffix("") in texts for path in files)
    columns = ((image_column,) if image_column else _IMAGE, (caption_column,) if caption_column else _CAPTION)

    def read() -> Iterator[Record | BadItem]:
        if table is None:
            yield from _beside(root, files, told, names)
        elif _is_tokens(table):
            yield from _placed(merged(_read_tokens(table)), files, names)
        else:
            yield from _placed(merged(_read_table(table, columns, inner)), files, names)

    if not files and table is None:
        raise ValueError(
            f"{root}: expected images, sounds, videos or a table of captions, found {contents(root)}"
        )
    held = sorted({modality(path) for path in files}, key=("image", "audio", "video").index)
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
        modalities=(*held, *("text",) * (told or table is not None)),
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


def _table(root: Path, level: str) -> Path | None:
    found = sorted({path for name in (*_TABLES, *_TOKENS) for path in root.glob(level + name)})
    found = [path for path in found if not path.name.endswith(".lemma.token.txt")]  # words cut to stems
    if len(found) > 1:
        names = " and ".join(str(path.relative_to(root)) for path in found)
        raise ValueError(f"{root} has captions in {names}: choose a split, or one with captions=FILE")
    return found[0] if found else None


def _is_tokens(table: Path) -> bool:
    return any(table.match(pattern) for pattern in _TOKENS)


def _beside(
    root: Path, files: list[Path], told: bool, names: dict[str, str] | None
) -> Iterator[Record | BadItem]:
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
            found = "an empty file" if text.is_file() else "no such file"
            yield BadItem(f"{path}: expected a caption in {text.name}, found {found}")
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
        alike, length = held.get(wanted.name, []), len(wanted.parts)
        found = [path for path in alike if path.parts[-length:] == wanted.parts]
        if len(found) > 1:
            yield BadItem(f"{record.where}: expected one file {record.id}, found {found[0]} and {found[1]}")
            continue
        if files and not found:
            yield BadItem(f"{record.where}: expected a file {record.id} in the folder, found none")
            continue
        if found:
            record.media, record.modality = found[0], modality(found[0])
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
            # one line of Flickr8k's file names its image 2258277193_586949ec62.jpg.1
            yield Record(where, image.removesuffix(".1"), [(where, caption)])


def _read_table(
    path: Path, columns: tuple[tuple[str, ...], tuple[str, ...]], split: str | None
) -> Iterator[Record | BadItem]:
    found: set[str] = set()
    for row in read_rows(path):
        if isinstance(row, BadItem):
            yield row
            continue
        try:
            record = _record(row, columns)
        except ValueError as error:
            if "json" not in path.suffix:
                raise  # it is the header's fault
            record = BadItem(str(error))
        if split and isinstance(record, Record):
            part = (
                str(row.cells["split"]).strip() if "split" in row.cells else str(record.id).partition("/")[0]
            )
            found.add(part)
            if part != split:
                continue
        yield record
    if split and split not in found:
        some = ", ".join(sorted(found)[:8]) or "none"
        raise ValueError(f"{path}: expected rows of the split {split!r}, found {some}")


def _record(row: Row, columns: tuple[tuple[str, ...], tuple[str, ...]]) -> Record | BadItem:
    file = row.cells[column(row, columns[0], "files")]
    said = row.cells[column(row, columns[1], "captions")]
    texts = said if isinstance(said, list) else [said]
    if not texts:
        return BadItem(f"{row.where}: expected a caption, found an empty list")
    return Record(
        row.where, file.strip() if isinstance(file, str) else file, [(row.where, text) for text in texts]
    )
