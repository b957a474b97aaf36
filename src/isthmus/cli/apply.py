"""isthmus apply"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from isthmus.align import PairedAligner, load_aligner
from isthmus.align.files import aligner_name, read_provenance
from isthmus.align.provenance import FittedOn, Provenance
from isthmus.checks import check_rows
from isthmus.cli.origin import embedded_by
from isthmus.cli.show import progress_bar, say
from isthmus.store import open_embeddings, write_mapped
from isthmus.store.layout import folder_of
from isthmus.store.manifest import is_store, read_manifest
from isthmus.store.mapped_layout import MappedBy, write_mapped_layout

Which = Literal["x", "y"]


def apply(aligner: Path, x: str, /, *, out: Path, modality: Which | None = None) -> None:
    """Map embeddings, or a whole store, with a saved aligner.

    Rows are read and written block by block, in the format that they come in. Of a store, or a folder in
    clip-retrieval's layout, both modalities are mapped and the metadata copied: what comes out is read like
    what went in, nothing is embedded again. Embeddings of a store are refused where its encoder, revision or
    modality is not what the aligner was fitted on. A run that was stopped goes on where it was when it is
    started again.

    Parameters
    ----------
    aligner : Path
        File that `isthmus align` saved.
    x : str
        Embeddings, as for `isthmus measure`; or a store, or a folder with img_emb/ and text_emb/.
    out : Path
        File or folder to write, of the same kind as X; must not exist.
    modality : {"x", "y"}
        Which modality they are of: the first or the second that the aligner was fitted on. By default what
        the store says, and the first for files that say nothing.
    """
    fitted, told = load_aligner(aligner), read_provenance(aligner)
    if _is_layout(Path(x)):
        if modality is not None:
            raise ValueError(f"{x} has both modalities: --modality is for one, such as {x}/img_emb")
        _apply_to_layout(fitted, told, aligner, root=Path(x), out=out)
        return
    which = modality_of(embedded_by(x), told, modality, name=x, aligner=aligner)
    rows = _checked(x, fitted, aligner)
    with progress_bar("applying") as advance:
        identity = f"{_digest(aligner)} {which}"
        write_mapped(x, out, _mapping(fitted, which), identity=identity, progress=advance)
    say(f"{len(rows)} rows, as {which}: {out}")


def modality_of(
    source: FittedOn, told: Provenance | None, given: Which | None, *, name: str, aligner: Path
) -> Which:
    """Return which of an aligner's modalities embeddings are of, by what is known of both.

    Raises
    ------
    ValueError
        They are of neither, or not of the one that was given, or nobody can tell.
    """
    if source == FittedOn():
        return given or "x"
    fitted: dict[Which, FittedOn] = {"x": told.x, "y": told.y} if told else {"x": FittedOn(), "y": FittedOn()}
    admitted: list[Which] = [which for which, space in fitted.items() if space.admits(source)]
    if not admitted or (given is not None and given not in admitted):
        asked = "" if given is None or not admitted else f", and not as {given}"
        raise ValueError(
            f"{name} is {source}: expected embeddings like those that {aligner} was fitted on, "
            f"x: {fitted['x']}; y: {fitted['y']}{asked}"
        )
    named = [which for which in admitted if fitted[which].modality is not None]
    chosen = named if len(named) == 1 else admitted
    if given is None and len(chosen) > 1:
        raise ValueError(
            f"{name} is {source}, which may be either of what {aligner} was fitted on: "
            "give --modality x or --modality y"
        )
    return given or chosen[0]


def _is_layout(path: Path) -> bool:
    return path.is_dir() and (is_store(path) or any(folder.is_dir() for folder in path.glob("*_emb")))


def _apply_to_layout(
    fitted: PairedAligner, told: Provenance | None, aligner: Path, *, root: Path, out: Path
) -> None:
    maps: dict[str, Callable[[Any], Any]] = {}
    sides: tuple[Which, Which] = ("x", "y")
    for which, name in zip(sides, _names(told, root), strict=True):
        folder = root / folder_of(name)
        if not folder.is_dir():
            continue
        modality_of(embedded_by(str(folder)), told, which, name=str(folder), aligner=aligner)
        _checked(str(folder), fitted, aligner)
        maps[name] = _mapping(fitted, which)
    if not maps:
        expected = " or ".join(folder_of(name) for name in _names(told, root))
        found = ", ".join(sorted(path.name for path in root.glob("*_emb")))
        raise ValueError(f"{root}: expected {expected}, which {aligner} maps, found {found}")
    by = MappedBy(f"isthmus:{aligner_name(fitted)}", _digest(aligner))
    with progress_bar("applying") as advance:
        rows = write_mapped_layout(root, out, maps, mapped_by=by, progress=advance)
    say(f"{rows} rows of {', '.join(maps)}: {out}")


def _names(told: Provenance | None, root: Path) -> tuple[str, str]:
    """Return what the aligner's two modalities are called in a folder."""
    if told is not None and told.x.modality and told.y.modality:
        if told.x.modality == told.y.modality:
            raise ValueError(
                f"the aligner was fitted on {told.x} and {told.y}, which {root} holds in one folder: "
                f"give {root}/{folder_of(told.x.modality)} and --modality"
            )
        return told.x.modality, told.y.modality
    if not is_store(root):
        return "image", "text"
    first, *others = sorted(read_manifest(root).modalities, key="text".__eq__)  # as Store.pairs has them
    return first, "text" if "text" in others or not others else others[0]


def _checked(x: str, fitted: PairedAligner, aligner: Path) -> Any:
    rows = open_embeddings(x)
    if rows.shape[1] != fitted.n_features_in_:
        raise ValueError(f"{x} has dim {rows.shape[1]}, {aligner} was fitted on dim {fitted.n_features_in_}")
    check_rows(rows, x)
    return rows


def _mapping(fitted: PairedAligner, which: str) -> Callable[[Any], Any]:
    return fitted.transform if which == "x" else fitted.transform_y


def _digest(aligner: Path) -> str:
    return hashlib.sha256(aligner.read_bytes()).hexdigest()
