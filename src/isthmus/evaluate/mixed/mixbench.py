"""MixBench's layout on disk: documents and queries as JSON lines, and who answers whom as a table."""

import csv
import io
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.evaluate.mixed.documents import Documents, make_documents
from isthmus.evaluate.mixed.relevance import Judgements, Queries

_CORPUS = ("mixed_corpus.jsonl", "corpus.jsonl")
_QUERIES = ("queries.jsonl", "query.jsonl")
_QRELS = ("qrels/qrels.tsv", "qrels.tsv", "qrels/test.tsv", "qrel.tsv")
_IDS = ("id", "_id")
_SHOWN = 5  # bad rows that an error names


@dataclass(frozen=True)
class Entry:
    """A document or a query, as its line says; None is a part that it has not.

    Examples
    --------
    >>> Entry("7", None, "a dog").kind
    'text'
    """

    id: str
    image: Path | None
    text: str | None

    @property
    def kind(self) -> str:
        """One of image, text and both."""
        if self.image is None:
            return "text"
        return "image" if self.text is None else "both"


@dataclass(frozen=True, eq=False)
class MixBench:
    """One subset of MixBench: what is to be embedded, and who answers whom.

    Examples
    --------
    >>> bench = MixBench([Entry("d", None, "a dog")], [Entry("q", None, "dog")], {("q", "d"): 1.0})
    >>> corpus, queries = bench.embedded(corpus_text=[[1.0, 0.0]], query_text=[[0.0, 1.0]])
    >>> queries.relevant.documents
    array([0])
    """

    corpus: list[Entry]
    queries: list[Entry]
    relevant: dict[tuple[str, str], float]  # gain by id of query and of document

    def embedded(
        self,
        *,
        corpus_image: Any = None,
        corpus_text: Any = None,
        query_image: Any = None,
        query_text: Any = None,
    ) -> tuple[Documents, Queries]:
        """Return corpus and queries for :func:`mixed_search`, from the embeddings of their parts.

        Parameters
        ----------
        corpus_image, corpus_text : array-like of shape (images, dim) and (texts, dim), optional
            Embeddings of the images, and of the texts, of the entries that have one, in their order.
        query_image, query_text : array-like, optional
            The same of the queries.

        Returns
        -------
        Documents, Queries
            Queries that nothing answers are left out.

        Raises
        ------
        ValueError
            There are more or fewer rows than parts.
        """
        documents = _documents(self.corpus, corpus_image, corpus_text, "corpus")
        asked = _documents(self.queries, query_image, query_text, "query")
        place = {entry.id: i for i, entry in enumerate(self.corpus)}
        number = {entry.id: i for i, entry in enumerate(self.queries)}
        pairs = [(number[q], place[d], gain) for (q, d), gain in self.relevant.items()]
        owner, document, gains = (np.array(column) for column in zip(*pairs, strict=True))
        relevant = Judgements.of(owner, document, gains=gains, queries=len(asked))
        queries = Queries(asked, relevant, np.arange(len(asked)))
        return documents, queries.take(np.flatnonzero(relevant.count))


def read_mixbench(
    folder: str | os.PathLike[str], *, corpus: str | None = None, images: str | os.PathLike[str] | None = None
) -> MixBench:
    """Read one subset of MixBench [1]_, such as its folder MSCOCO.

    What is assumed, the files not being at hand when this was written but for
    their description: ``queries.jsonl`` has ``query_id`` and ``text`` and/or
    ``image``; ``mixed_corpus.jsonl``, or where there is none ``corpus.jsonl``,
    has ``corpus_id`` and the same; ``image`` is a relative path;
    ``qrels/qrels.tsv`` or ``qrels.tsv`` has the columns ``query_id``,
    ``corpus_id`` and ``score``, with a line of names or without (also in
    TREC's four columns). ``id``, ``_id``, ``query-id`` and the like are taken
    too, an empty string or null is no part, and a score of 0 or less is no answer.
    Files are UTF-8, and only a newline ends a line.

    Parameters
    ----------
    folder : str or Path
        Of one subset.
    corpus : str, optional
        Name of the corpus's file, where it is another.
    images : str or Path, optional
        Folder that ``image`` is relative to. By default each image is looked for in the subset's folder, in
        its ``images``, and in ``MixBench_img/SUBSET/images`` beside it, where the authors' code looks
        (``extract_embedding_clip.py``).

    Returns
    -------
    MixBench
        Entries in the order of their files. Images are not opened. Where not one of them is there, as may
        be if they were embedded elsewhere, their paths are in the subset's folder.

    Raises
    ------
    FileNotFoundError
        A file is missing.
    ValueError
        Naming up to five bad rows of a file and what is bad about them, or up to five images that are
        missing and where they were looked for.

    References
    ----------
    .. [1] Li et al., "Closing the Modality Gap for Mixed Modality Search", 2025, section 5.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "queries.jsonl").write_text('{"query_id": "q1", "text": "a dog"}\\n')
    >>> _ = (folder / "corpus.jsonl").write_text('{"corpus_id": "d1", "image": "images/1.jpg"}\\n')
    >>> _ = (folder / "qrels.tsv").write_text("query_id\\tcorpus_id\\tscore\\nq1\\td1\\t1\\n")
    >>> read_mixbench(folder).relevant
    {('q1', 'd1'): 1.0}
    """
    folder = Path(folder)
    documents = _entries(_find(folder, (corpus,) if corpus else _CORPUS), "corpus_id")
    queries = _entries(_find(folder, _QUERIES), "query_id")
    documents, queries = _with_images(folder, images, documents, queries)
    known = {entry.id for entry in queries}, {entry.id for entry in documents}
    return MixBench(documents, queries, _relevant(_find(folder, _QRELS), known))


def _relevant(path: Path, known: tuple[set[str], set[str]]) -> dict[tuple[str, str], float]:
    """Gain by id of query and of document, both known."""
    relevant: dict[tuple[str, str], float] = {}
    bad = []
    for number, row in _judgements(path):
        try:
            query, document, score = row
            gain = float(score)
        except ValueError:
            bad.append(f"line {number}: expected query, document and score, found {row}")
            continue
        if not math.isfinite(gain):
            bad.append(f"line {number}: score must be a finite number, found {score}")
            continue
        for name, told, ids in (("query", query, known[0]), ("document", document, known[1])):
            if told not in ids:
                bad.append(f"line {number}: there is no {name} {told!r}")
                break
        else:
            if (query, document) in relevant:
                bad.append(f"line {number}: {query!r} and {document!r} come twice")
            elif gain > 0:
                relevant[query, document] = gain
    _raise(path, bad)
    if not relevant:
        raise ValueError(f"{path}: expected at least one score above 0, found none")
    return relevant


def _with_images(
    folder: Path, images: str | os.PathLike[str] | None, *files: Sequence[Entry]
) -> tuple[list[Entry], ...]:
    """Say where each image is."""
    if images is not None:
        places = (Path(images),)
    else:
        subset = folder.resolve()
        places = (folder, folder / "images", subset.parent / "MixBench_img" / subset.name / "images")
    wanted = [entry.image for entries in files for entry in entries if entry.image is not None]
    found = {image: next((p / image for p in places if (p / image).is_file()), None) for image in wanted}
    missing = [str(image) for image, path in found.items() if path is None]
    if missing and (images is not None or len(missing) < len(found)):
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        where = ", ".join(map(str, places))
        raise ValueError(f"images {', '.join(missing[:_SHOWN])}{more} are in none of {where}")
    return tuple(
        [
            entry if entry.image is None else replace(entry, image=found[entry.image] or folder / entry.image)
            for entry in entries
        ]
        for entries in files
    )


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}: expected UTF-8, found byte {error.object[error.start]:#04x} in line {line}"
        ) from error


def _find(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{folder} has none of {', '.join(names)}")


def _entries(path: Path, key: str) -> list[Entry]:
    found: dict[str, Entry] = {}
    bad = []
    for number, line in enumerate(_text(path).split("\n"), 1):  # captions may hold U+2028 and the like
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            entry = _entry(row, key)
            if entry.id in found:
                raise ValueError(f"{entry.id!r} comes twice")
            found[entry.id] = entry
        except ValueError as error:
            bad.append(f"line {number}: {error}")
    _raise(path, bad)
    if not found:
        raise ValueError(f"{path}: expected at least one entry, found none")
    return list(found.values())


def _entry(row: Any, key: str) -> Entry:
    if not isinstance(row, dict):
        raise ValueError(f"expected an object, found {type(row).__name__}")
    name = next((k for k in (key, key.replace("_", "-"), *_IDS) if row.get(k) not in (None, "")), None)
    if name is None:
        raise ValueError(f"expected {key}, found {', '.join(row) or 'nothing'}")
    for part in ("image", "text"):
        if not isinstance(row.get(part), str | None):
            raise ValueError(f"{part} must be a string, found {type(row[part]).__name__}")
    image, text = row.get("image") or None, row.get("text") or None  # strings: "" is none
    if image is None and text is None:
        raise ValueError(f"{row[name]!r} has neither an image nor a text")
    return Entry(str(row[name]), None if image is None else Path(image), text)


def _judgements(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield number, and query, document and score, of each line but the names of the columns."""
    lines = io.StringIO(_text(path), newline="")
    for number, row in enumerate(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE), 1):
        if not row or (number == 1 and row[0].replace("-", "_").lower() in ("query_id", "qid", "query")):
            continue
        yield number, [row[0], *row[2:]] if len(row) == 4 else row  # TREC's second column says nothing


def _raise(path: Path, bad: list[str]) -> None:
    if bad:
        more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise ValueError(f"{path}: {'; '.join(bad[:_SHOWN])}{more}")


def _documents(entries: list[Entry], image: Any, text: Any, name: str) -> Documents:
    rows = {}
    for part, array in (("image", image), ("text", text)):
        has = np.array([getattr(entry, part) is not None for entry in entries])
        given = 0 if array is None else len(array)
        if given != has.sum():
            raise ValueError(
                f"{name}_{part} must have a row for each {part}: expected {has.sum()}, got {given}"
            )
        rows[f"{part}_row"] = np.where(has, np.cumsum(has) - 1, -1)
    return make_documents(image, text, **rows)
