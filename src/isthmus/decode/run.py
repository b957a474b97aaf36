"""The folder of a captioner: its settings, what it was trained on, and whether it is done."""

import hashlib
import json
import os
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from isthmus.decode.memory import TextMemory
from isthmus.decode.settings import NOT_OF_THE_RESULT, CaptionTraining
from isthmus.store.lock import locked
from isthmus.whole import write_whole

RUN = "run.json"
_LOCK = ".lock"
_FORMAT, _VERSION = "isthmus-captioner", 1
_BEGUN = ("complete", "identity", "settings", "encoders")  # what run.json has, and more when it is complete
_DONE = ("dim", "modalities", "items", "captions", "held_out", "history")


@dataclass(frozen=True)
class CaptionRun:
    """A folder that `train_captioner` writes.

    Parameters
    ----------
    folder : Path
        Where it is.
    story : dict
        What its run.json holds.

    Examples
    --------
    >>> CaptionRun.open("nowhere")
    Traceback (most recent call last):
    ...
    FileNotFoundError: nowhere is not a captioner's run: no nowhere/run.json
    """

    folder: Path
    story: dict[str, Any]

    @classmethod
    def open(cls, folder: str | os.PathLike[str], *, complete: bool = True) -> Self:
        """Open a run.

        Parameters
        ----------
        folder : str or Path
            Where it is.
        complete : bool, default=True
            Refuse one whose training is not done.

        Returns
        -------
        CaptionRun
            With its run.json read, and nothing else.

        Raises
        ------
        FileNotFoundError
            There is no run.json.
        ValueError
            It is not one that isthmus wrote, or training is not done.

        Examples
        --------
        See :func:`isthmus.decode.training.train_captioner`.
        """
        folder = Path(folder)
        path = folder / RUN
        if not path.is_file():
            raise FileNotFoundError(f"{folder} is not a captioner's run: no {path}")
        try:
            story = json.loads(path.read_bytes())
        except ValueError as error:
            raise ValueError(f"{path} is not readable JSON: {error}") from error
        found = (story.get("format"), story.get("version")) if isinstance(story, dict) else (None, None)
        if found != (_FORMAT, _VERSION):
            raise ValueError(
                f"{path}: expected format {_FORMAT!r} version {_VERSION}, "
                f"found {found[0]!r} version {found[1]!r}"
            )
        wanted = (*_BEGUN, *(_DONE if story.get("complete") else ()))
        if missing := [name for name in wanted if name not in story]:
            raise ValueError(f"{path} is corrupt: it has no {', '.join(missing)}")
        if complete and not story["complete"]:
            raise ValueError(f"{folder}: training is not done; the command that began it goes on with it")
        return cls(folder, story)

    @property
    def complete(self) -> bool:
        """Whether training is done."""
        return self.story["complete"]

    @property
    def settings(self) -> CaptionTraining:
        """How it was trained."""
        return CaptionTraining.from_dict(self.story["settings"], name=str(self.folder / RUN))

    @property
    def encoders(self) -> dict[str, dict[str, Any]]:
        """Per modality, the name and revision of the encoder whose embeddings it learned from."""
        return self.story["encoders"]

    @property
    def captioner(self) -> Path:
        """Folder of the network."""
        return self.folder / "captioner"

    @property
    def connection(self) -> Path:
        """File of the means and the noise."""
        return self.folder / "connection.safetensors"

    @property
    def checkpoint(self) -> Path:
        """File that holds the state of the training while it runs."""
        return self.folder / "checkpoint.safetensors"

    @property
    def weights(self) -> str:
        """Tells the run from others by what it holds: a hash of its settings and its training.

        Where it was trained and how often its state was kept does not matter.
        """
        settings = {n: value for n, value in self.story["settings"].items() if n not in NOT_OF_THE_RESULT}
        story = self.story | {"settings": settings}
        return hashlib.sha256(json.dumps(story, sort_keys=True).encode()).hexdigest()

    def write(self, **entries: Any) -> "CaptionRun":
        """Replace run.json by itself with some entries more, in one step.

        Parameters
        ----------
        **entries
            As JSON has them.

        Returns
        -------
        CaptionRun
            The same folder with the new story.

        Examples
        --------
        See :func:`isthmus.decode.training.train_captioner`.
        """
        story = self.story | entries
        write_whole(self.folder / RUN, (json.dumps(story, indent=1) + "\n").encode())
        return CaptionRun(self.folder, story)

    def save_memory(self, rows: np.ndarray, captions: list[str]) -> None:
        """Keep captions and their embeddings, for methods that look them up.

        Parameters
        ----------
        rows : ndarray of float32, shape (n, dim)
            Unit rows.
        captions : list of str, length n
            Row by row.

        Examples
        --------
        See :meth:`memory`.
        """
        from safetensors.numpy import save

        write_whole(self.folder / "memory.safetensors", save({"rows": np.ascontiguousarray(rows)}))
        lines = "".join(json.dumps(text, ensure_ascii=False) + "\n" for text in captions)
        write_whole(self.folder / "memory.jsonl", lines.encode())

    def memory(self) -> TextMemory:
        """Return the captions that the run keeps, with their embeddings.

        Returns
        -------
        TextMemory
            To look embeddings up in.

        Raises
        ------
        FileNotFoundError
            The method keeps none.
        ValueError
            A file is corrupt.

        Examples
        --------
        >>> import tempfile
        >>> run = CaptionRun(Path(tempfile.mkdtemp()), {})
        >>> run.save_memory(np.eye(2), ["a dog", "a cat"])
        >>> run.memory().nearest([[0.1, 0.9]])
        ['a cat']
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = self.folder / "memory.safetensors"
        try:
            rows = load_file(path)["rows"]
        except SafetensorError as error:
            raise ValueError(f"{path} is not a readable safetensors file: {error}") from error
        except KeyError as error:
            raise ValueError(f"{path} is corrupt: it has no rows") from error
        return TextMemory(rows, self.captions())

    def captions(self) -> list[str]:
        """Return the captions of `memory`, row by row.

        Returns
        -------
        list of str
            As they were told.

        Raises
        ------
        FileNotFoundError
            The method keeps none.

        Examples
        --------
        See :meth:`memory`.
        """
        path = self.folder / "memory.jsonl"
        try:
            return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        except ValueError as error:
            raise ValueError(f"{path} is not readable JSON: {error}") from error


@contextmanager
def claimed(
    folder: str | os.PathLike[str], identity: Mapping[str, Any], **entries: Any
) -> Generator[CaptionRun]:
    """Be the one process that trains in a folder: new, empty, or begun with the same identity.

    Parameters
    ----------
    folder : str or Path
        Made if it is not there.
    identity : mapping
        What the result depends on, ready for JSON.
    **entries
        More entries of the run.json of a new run.

    Yields
    ------
    CaptionRun
        New, half done or complete.

    Raises
    ------
    ValueError
        The folder holds something else, or a run of another identity: naming what differs.
    TimeoutError
        Another process trains in it.

    Examples
    --------
    >>> import tempfile
    >>> with claimed(tempfile.mkdtemp(), {"seed": 0}) as run:
    ...     run.complete
    False
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, expected a new or empty folder")
    if not (folder / RUN).is_file() and folder.is_dir():
        held = sorted(path.name for path in folder.iterdir() if path.name != _LOCK)
        if held:
            raise ValueError(f"{folder}: expected a new or empty folder, found {', '.join(held[:10])}")
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / _LOCK, timeout=0))
        except TimeoutError as error:
            raise TimeoutError(f"another process is training in {folder}") from error
        identity = json.loads(json.dumps(identity))  # as it will be read back
        if (folder / RUN).is_file():
            run = CaptionRun.open(folder, complete=False)
            _check_same(run, identity)
        else:
            story = {"format": _FORMAT, "version": _VERSION, "complete": False, "identity": identity}
            run = CaptionRun(folder, story).write(**entries)
        yield run


def _check_same(run: CaptionRun, identity: dict[str, Any]) -> None:
    there, here = _flat(run.story["identity"]), _flat(identity)
    unlike = [key for key in sorted({*there, *here}) if there.get(key) != here.get(key)]
    if unlike:
        sides = "; ".join(
            "it learned from other data"
            if key == "data"
            else f"{key} is {there.get(key)} there and {here.get(key)} here"
            for key in unlike
        )
        raise ValueError(f"{run.folder} is another run: {sides}. Train into another folder")


def _flat(identity: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in identity.items():
        flat |= dict(value) if isinstance(value, Mapping) else {key: value}
    return flat
