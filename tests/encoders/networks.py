"""Small networks with random weights, and tokenizers trained on the spot: no hub is needed."""

import json
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np

TEXTS = ["a dog", "two black cats on the old sofa", "A red car, from above!", ""]
LONG = "the dog and the cat run after a red car in the rain and then they sleep on the old sofa"
_LINES = [*TEXTS, LONG, "a dog runs on the grass", "two cats sleep on a sofa", "the rain falls on a tin roof"]


def pictures(seed=0):
    """Pictures upright and lying, of odd and even sizes, smaller and larger than a network takes."""
    rng = np.random.default_rng(seed)
    shapes = ((48, 64), (61, 37), (33, 33), (20, 95), (32, 41))
    return [rng.integers(0, 256, size=(*shape, 3), dtype=np.uint8) for shape in shapes]


def clip_tokenizer(limit=16):
    """CLIP's tokenizer of transformers, with a small vocabulary."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    letters = pre_tokenizers.ByteLevel.alphabet()
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=letters, end_of_word_suffix="</w>", show_progress=False
    )
    trained.train_from_iterator(_LINES, trainer)
    merges = [tuple(pair) for pair in json.loads(trained.to_str())["model"]["merges"]]
    tokens = sorted(trained.get_vocab() | dict.fromkeys(letter + "</w>" for letter in letters))
    tokens += ["<|startoftext|>", "<|endoftext|>"]  # CLIP finds the end of a text by its highest id
    return CLIPTokenizer(vocab={t: i for i, t in enumerate(tokens)}, merges=merges, model_max_length=limit)


def prepare_elsewhere(encoder, value, modality):
    """Return what a process of its own makes of an item, with nothing but the preparation."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_prepare, pickle.dumps(encoder.preparation), value, modality).result(timeout=120)


def _prepare(preparation, value, modality):
    import tests.encoders.conftest  # noqa: F401  what torchvision may need

    return pickle.loads(preparation)(value, modality)  # noqa: S301


def check_batches(encoder, items, modality):
    """Rows do not depend on which other items are in the batch."""
    rows = encoder.encode(items, modality, batch_size=len(items), normalize=False)
    assert rows.shape == (len(items), encoder.dim)
    assert rows.dtype == np.float32
    assert len(np.unique(rows.round(6), axis=0)) == len(items)
    for size in (1, 3):
        assert np.allclose(encoder.encode(items, modality, batch_size=size, normalize=False), rows, atol=1e-5)
    assert encoder.encode([], modality).shape == (0, encoder.dim)
