"""The small captioner trained and at work, beside the habits of ClipCap's and C3's released loops.

python benchmarks/captioner.py [CAPTIONS | FILE]

CAPTIONS is how many of the world's to learn from; FILE holds one caption a line, such as Flickr8k's own list,
where a caption stands behind a tab: the longer the longest is beside the others, the more padding is read.

The habits: a data set asked item by item, captions padded to one length for all, no end token, logits of the
whole vocabulary at every position, pads too, and a loss that is told of pads by token id 0; captions written
one at a time, all that was written read again for every token; batches of 40 to learn from, where ours have
128. The network is the same: both sides compute the same loss where there is no end token, and write the same
captions. They take turns, so that both share what else the machine does; the figures are medians over turns.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from isthmus.decode.captioner import Captioner, pad_rows
from isthmus.decode.connection import Connection
from isthmus.decode.data import CaptionData
from isthmus.decode.generation import Generation, write_captions
from isthmus.decode.methods import METHODS
from isthmus.decode.settings import CaptionTraining
from isthmus.decode.task import CaptionTask, Tokens
from isthmus.sources.world import captions, draw_scene

DIM = 256
BATCH, RELEASED_BATCH = 128, 40
TURNS = 6  # batches that each side trains on, after one that warms it
ALONE = 24  # captions written one at a time
TOGETHER = 512  # captions written side by side


class ItemByItem(Dataset):
    """Captions and embeddings as the released data set gives them, one by one."""

    def __init__(self, rows, mean, tokens, std):
        self.rows, self.mean, self.std = torch.from_numpy(rows), torch.from_numpy(mean), std
        lengths = torch.tensor([len(t) for t in tokens], dtype=torch.float32)
        self.longest = min(int(lengths.mean() + lengths.std() * 10), int(lengths.max()))
        self.tokens = [torch.tensor(t, dtype=torch.int64) for t in tokens]

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, i):
        tokens, row = self.tokens[i], self.rows[i].float()
        padding = self.longest - len(tokens)
        if padding > 0:
            tokens = torch.cat((tokens, torch.zeros(padding, dtype=torch.int64) - 1))
        tokens = tokens[: self.longest].clone()
        mask = tokens.ge(0)
        tokens[~mask] = 0
        row = row / row.norm(2, -1) - self.mean
        row = row + torch.randn(row.shape) * self.std
        return tokens, mask.float(), row / row.norm(2, -1)


def released_loss(captioner, tokens, mask, rows):
    """Cross-entropy over every position, where token 0 is taken for padding."""
    prefix = captioner.config.prefix
    sequence = torch.cat((captioner.prefix(rows), captioner.language_model.embed(tokens)), dim=1)
    attended = torch.cat((torch.ones(len(tokens), prefix), mask), dim=1).bool()
    logits = captioner.language_model(sequence, attended)[0][:, prefix - 1 : -1]
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), tokens.flatten(), ignore_index=0)


@torch.no_grad()
def released_caption(captioner, row, length):
    """Write one caption: the nucleus of 0.8, then its likeliest token; no cache."""
    model, end = captioner.language_model, captioner.tokenizer.end
    sequence, tokens = captioner.prefix(row[None]), []
    for _ in range(length):
        logits = model(sequence)[0][:, -1, :]
        values, order = torch.sort(logits, descending=True)
        total = torch.cumsum(F.softmax(values, dim=-1), dim=-1)
        out = total > 0.8
        out[..., 1:] = out[..., :-1].clone()
        out[..., 0] = False
        logits[:, order[out]] = -torch.inf
        token = torch.argmax(logits, -1).unsqueeze(0)
        tokens.append(token.item())
        if tokens[-1] == end:
            break
        sequence = torch.cat((sequence, model.embed(token)), dim=1)
    return captioner.tokenizer.decode(tokens)


def step(captioner, optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(captioner.parameters(), 1.0)
    optimizer.step()


def timed(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def the_same_loss(captioner, theirs, tokens):
    """Return how far both losses are apart on one batch."""
    captioner.eval()
    with torch.no_grad():
        batch, mask, rows = next(iter(DataLoader(theirs, batch_size=BATCH)))
        ours = captioner.loss(rows, *pad_rows(tokens[:BATCH]))
        apart = abs(float(ours) - float(released_loss(captioner, batch, mask, rows)))
    captioner.train()
    return apart


def training(captioner, data, settings):
    """Print tokens per second of both sides; return the mean length of captions, their ends included."""
    ids = captioner.tokenizer.encode(data.told())
    tokens = Tokens(ids, end=captioner.tokenizer.end, longest=60)
    rows = np.arange(len(data))
    connection = Connection.fit(METHODS["C3"], data.of("text"), {"image": data.of("image")})
    task = CaptionTask(data, connection, settings=settings, rows=(rows, rows[:0]), tokens=tokens)
    theirs = ItemByItem(data.of("text"), connection.means["text"].astype(np.float32), ids, 0.1265)
    print(f"losses of one batch: {the_same_loss(captioner, theirs, ids):.0e} apart")
    optimizer = torch.optim.AdamW(captioner.parameters(), lr=1e-3)
    batches = iter(DataLoader(theirs, batch_size=RELEASED_BATCH, shuffle=True, drop_last=True))
    order = np.random.default_rng(0).permutation(len(data))

    def as_released():
        batch, mask, x = next(batches)
        step(captioner, optimizer, released_loss(captioner, batch, mask, x))
        return int(mask.sum())

    def ours(precise=True):
        nonlocal order
        batch, order = order[:BATCH], order[BATCH:]
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            loss = task.loss(captioner, batch)
        step(captioner, optimizer, loss)
        return int(task.weight(batch)) - BATCH  # ends are not counted: the released loop has none

    base, rate, halved = turns(as_released, ours, lambda: ours(precise=False))
    length = round(tokens.lengths.mean())
    print(f"captions of {length - 1} tokens on average, padded to {theirs.longest} by the released data set")
    report("training", "tokens/s", base, rate)
    report("  bfloat16", "tokens/s", base, halved)
    return length


def turns(*sides):
    """Return the median rate of each side."""
    for side in sides:
        side()
    rates = [[] for _ in sides]
    for _ in range(TURNS):
        for side, found in zip(sides, rates, strict=True):
            seconds, count = timed(side)
            found.append(count / seconds)
    return [float(np.median(found)) for found in rates]


def report(what, unit, base, rate):
    print(f"{what:10} {rate:9.0f} {unit}, the released habits {base:7.0f}: {rate / base:.1f} x", flush=True)


def writing(captioner, x, length):
    """Print captions per second of both sides, for captions of usual length."""
    captioner.eval()
    options = Generation(length=length, batch_size=TOGETHER)
    rows = torch.from_numpy(x)
    share = ALONE // TURNS
    places = iter(range(0, TOGETHER, share))
    alone = []

    def as_released():
        at = next(places)
        alone.extend(released_caption(captioner, row, length) for row in rows[at : at + share])
        return share

    rates = turns(as_released, lambda: len(write_captions(captioner, x, options)))
    together = [found.text for found in write_captions(captioner, x, options)[: len(alone)]]
    same = sum(a == b for a, b in zip(alone, together, strict=True))
    print(f"{same} of {len(alone)} captions are the same, for example {together[0]!r}")
    report("writing", "captions/s", *rates)


def captions_of(named):
    """Return the captions that the command line names."""
    if Path(named).is_file():
        return [line.split("\t")[-1] for line in Path(named).read_text(encoding="utf-8").splitlines()][:4000]
    n = int(named)
    return [text for i in range(-(-n // 5)) for text in captions(draw_scene(1, i), detail=0.25, count=5)][:n]


def main():
    texts = captions_of(sys.argv[1] if len(sys.argv) > 1 else "4000")
    n, rng = len(texts), np.random.default_rng(0)
    rows = rng.normal(size=(n, DIM)).astype(np.float32)
    data = CaptionData({"text": rows, "image": rows}, [str(i // 5) for i in range(n)], texts)
    settings = CaptionTraining(method="C3")
    captioner = Captioner.build(settings.captioner(DIM), texts, seed=0)
    parameters = sum(p.numel() for p in captioner.parameters()) / 1e6
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before, {torch.get_num_threads()} threads, "
        f"{parameters:.1f}M parameters, batches of {BATCH}, the released loop's of {RELEASED_BATCH}"
    )
    length = training(captioner, data, settings)
    writing(captioner, rng.normal(size=(TOGETHER, DIM)).astype(np.float32), length)


if __name__ == "__main__":
    main()
