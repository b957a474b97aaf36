"""isthmus apply"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from isthmus.align import PairedAligner, load_aligner
from isthmus.align.files import aligner_name, read_provenance
from isthmus.align.provenance import FittedOn, Provenance, hash_items
from isthmus.checks import check_rows
from isthmus.cli.origin import embedded_by
from isthmus.cli.show import progress_bar, say
from isthmus.store import open_embeddings, write_mapped
from isthmus.store.entries import split_entry
from isthmus.store.layout import folder_of
from isthmus.store.manifest import is_store
from isthmus.store.mapped_layout import MappedBy, write_mapped_layout

Which = Literal["x", "y"]
_SIDES: tuple[Which, Which] = ("x", "y")
_FOLDERS = {folder_of(name): name for name in ("image", "text", "audio", "video")}


def apply(
    aligner: Path,
    x: str,
    /,
    *,
    out: Path,
    modality: Which | None = None,
    fitted_on: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
) -> None:
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
        the store says, or the name of the folder (img_emb, text_emb), and the first for files that say
        nothing.
    fitted_on : list of str
        Which two modalities the aligner was fitted on, x then y, such as image text. Needed for a store, or a
        folder of both, where the aligner's file does not say.
    """
    fitted, told = load_aligner(aligner), read_provenance(aligner)
    if fitted_on is not None:
        told = _told_of(told, fitted_on, aligner)
    _refuse_inside(out, split_entry(x)[0])
    if _is_layout(Path(x)):
        if modality is not None:
            raise ValueError(f"{x} has both modalities: --modality is for one, such as {x}/img_emb")
        _apply_to_layout(fitted, told, aligner, root=Path(x), out=out)
        return
    which = modality_of(known_of(x), told, modality, name=x, aligner=aligner)
    rows = _checked(x, fitted, aligner)
    with progress_bar("applying") as advance:
        identity = f"{_digest(aligner)} {which}"
        write_mapped(x, out, _mapping(fitted, which), identity=identity, progress=advance)
    say(f"{len(rows)} rows, as {which}: {out}")


def known_of(path: str) -> FittedOn:
    """Return what is known of embeddings by their store, or else by a folder named as clip-retrieval does."""
    found = embedded_by(path)
    if found != FittedOn():
        return found
    place = split_entry(path)[0].absolute()
    return FittedOn(_FOLDERS.get(place.name if place.is_dir() else place.parent.name))


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
    counts: dict[str, int] = {}
    for which, name in _names(told, root, aligner).items():
        folder = root / folder_of(name)
        if not folder.is_dir():
            continue
        modality_of(known_of(str(folder)), told, which, name=str(folder), aligner=aligner)
        counts[folder.name] = len(_checked(str(folder), fitted, aligner))
        maps[name] = _mapping(fitted, which)
    if not maps:
        expected = " or ".join(folder_of(name) for name in _names(told, root, aligner).values())
        found = ", ".join(sorted(path.name for path in root.glob("*_emb")))
        raise ValueError(f"{root}: expected {expected}, which {aligner} maps, found {found}")
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{count} in {folder}" for folder, count in counts.items())
        raise ValueError(f"{root}: expected as many rows of one modality as of the other, found {found}")
    by = MappedBy(f"isthmus:{aligner_name(fitted)}", _digest(aligner))
    with progress_bar("applying") as advance:
        rows = write_mapped_layout(root, out, maps, mapped_by=by, progress=advance)
    say(f"{rows} rows of {', '.join(maps)}: {out}")


def _names(told: Provenance | None, root: Path, aligner: Path) -> dict[Which, str]:
    """Return what the aligner's modalities are called in a folder, by which of its maps they need.

    What only one side of the aligner tells leaves the other side the other modality of the folder.
    """
    names: dict[Which, str | None] = {"x": None, "y": None}
    if told is not None:
        names = {"x": told.x.modality, "y": told.y.modality}
        if told.x.modality is not None and told.x.modality == told.y.modality:
            raise ValueError(
                f"the aligner was fitted on {told.x} and {told.y}, which {root} holds in one folder: "
                f"give {root}/{folder_of(told.x.modality)} and --modality"
            )
    known = {which: name for which, name in names.items() if name is not None}
    if len(known) == 2:
        return known
    held = [_FOLDERS.get(path.name, path.name.removesuffix("_emb")) for path in sorted(root.glob("*_emb"))]
    others = [name for name in held if name not in known.values()]
    if not known or len(others) > 1:
        raise ValueError(
            f"{aligner} does not tell which modalities it was fitted on, and {root} has {', '.join(held)}: "
            "expected --fitted-on with the names of x and y, such as --fitted-on image text"
        )
    return known | {which: name for which in _SIDES if which not in known for name in others}


def _told_of(told: Provenance | None, fitted_on: list[str], aligner: Path) -> Provenance:
    """Return what is known of an aligner, with the names of its two modalities as they were given."""
    if len(fitted_on) != 2 or fitted_on[0] == fitted_on[1]:
        raise ValueError(f"--fitted-on takes two different modalities, x then y, got {' '.join(fitted_on)}")
    told = told or Provenance(FittedOn(), FittedOn(), pairs=0, items=hash_items(()))
    for side, name in zip((told.x, told.y), fitted_on, strict=True):
        if side.modality not in (None, name):
            raise ValueError(
                f"--fitted-on is {' '.join(fitted_on)}, {aligner} was fitted on {told.x} and {told.y}"
            )
    x, y = (replace(side, modality=name) for side, name in zip((told.x, told.y), fitted_on, strict=True))
    return replace(told, x=x, y=y)


def _refuse_inside(out: Path, source: Path) -> None:
    if source.is_dir() and source.resolve() in out.resolve().parents:
        raise ValueError(f"{out} lies in {source}, which is read: write elsewhere")


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
