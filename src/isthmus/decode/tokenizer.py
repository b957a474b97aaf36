"""Texts to token ids and back: byte-level byte-pair encoding, so that any text has tokens."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from isthmus.checks import check_number
from isthmus.whole import write_whole

END = "<|endoftext|>"
_SMALLEST = 257  # the bytes, and the end token


class Tokenizer:
    """Byte-level byte-pair encoding with one special token, which ends every text.

    Parameters
    ----------
    backend : tokenizers.Tokenizer
        Of the library `tokenizers`; for one of transformers, its
        ``backend_tokenizer``. Used without padding, truncation and special tokens.
    end : str, default="<|endoftext|>"
        The token that ends a text. It is never padding: padding is told by masks.

    Raises
    ------
    ValueError
        The backend has no token `end`.

    References
    ----------
    Sennrich, Haddow & Birch 2016, Algorithm 1; on bytes as in Radford et al. 2019, section 2.2.

    Examples
    --------
    >>> tokenizer = Tokenizer.train(["a red circle", "a red square"], size=270)
    >>> tokenizer.decode(tokenizer.encode(["ein süßer Hund"])[0])
    'ein süßer Hund'
    """

    def __init__(self, backend: Any, end: str = END):
        found = backend.token_to_id(end)
        if found is None:
            raise ValueError(f"end must be a token of the tokenizer, got {end!r}")
        backend.no_padding()
        backend.no_truncation()
        backend.encode_special_tokens = True  # "<|endoftext|>" in a caption is text like any other
        self.backend, self.end_token = backend, end
        self._end = int(found)

    @classmethod
    def train(cls, texts: Iterable[str], *, size: int = 1000) -> Self:
        """Learn the merges from texts.

        Parameters
        ----------
        texts : iterable of str
            Captions.
        size : int, default=1000
            Tokens at most, the 256 bytes and the end token among them.

        Returns
        -------
        Tokenizer
            The same for the same texts in any order.

        Raises
        ------
        ValueError
            `size` is below 257.
        """
        from tokenizers import Tokenizer as Backend
        from tokenizers import decoders, models, pre_tokenizers, trainers

        check_number(size, "size", f"[{_SMALLEST}, inf)", integer=True)
        backend = Backend(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=[END],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        backend.train_from_iterator(_checked(texts, "texts"), trainer)
        return cls(backend, END)

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return self.backend.get_vocab_size()

    @property
    def end(self) -> int:
        """Id of the token that ends a text."""
        return self._end

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of texts, without the end token.

        Parameters
        ----------
        texts : sequence of str
            Captions.

        Returns
        -------
        list of list of int
            Ids by text; a text "" has none.

        Raises
        ------
        ValueError
            `texts` is one string, or an entry is not a string.
        """
        rows = self.backend.encode_batch(_checked(texts, "texts"), add_special_tokens=False)
        return [row.ids for row in rows]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids up to the first end token.

        Parameters
        ----------
        ids : sequence of int
            Token ids.

        Returns
        -------
        str
            Without the white space around it.
        """
        ids = [int(i) for i in ids]
        if self._end in ids:
            ids = ids[: ids.index(self._end)]
        return self.backend.decode(ids, skip_special_tokens=True).strip()

    def save(self, path: str | Path) -> None:
        """Write ``tokenizer.json``, in the format of the library `tokenizers`.

        Parameters
        ----------
        path : str or Path
            The file, written under a temporary name, then renamed.
        """
        write_whole(path, self.backend.to_str().encode())

    @classmethod
    def load(cls, path: str | Path, *, end: str = END) -> Self:
        """Read a ``tokenizer.json``; never executes code from it.

        Parameters
        ----------
        path : str or Path
            The file.
        end : str, default="<|endoftext|>"
            The token that ends a text.

        Returns
        -------
        Tokenizer
            As it was saved.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            It is not the file of a tokenizer.
        """
        from tokenizers import Tokenizer as Backend

        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no such file: {path}")
        text = path.read_text(encoding="utf-8")
        try:
            json.loads(text)
            backend = Backend.from_str(text)
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"{path} is not the file of a tokenizer: {error}") from error
        return cls(backend, end)


def _checked(texts: Iterable[str], name: str) -> list[str]:
    if isinstance(texts, str):
        raise ValueError(f"{name} must be a sequence of strings, got one string")
    texts = list(texts)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"{name}[{i}] must be a string, got {type(text).__name__}")
    return texts
