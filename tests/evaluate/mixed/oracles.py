"""Mixed search the slow way: one query and one document at a time."""

import numpy as np


def unit(row):
    return row / np.linalg.norm(row)


def put(documents, i, image, text, weight):
    """One document's row: parts mapped, fused, scaled."""
    a, b = documents.image_row[i], documents.text_row[i]
    if b < 0:
        return unit(image(unit(documents.image[a])))
    if a < 0:
        return unit(text(unit(documents.text[b])))
    fused = weight * image(unit(documents.image[a])) + (1 - weight) * text(unit(documents.text[b]))
    return unit(fused)


def all_scores(queries, corpus, *, image=lambda u: u, text=lambda u: u, query_text=None, weight=0.5):
    """Cosines of all queries with all documents."""
    q = [put(queries, i, image, query_text or text, weight) for i in range(len(queries))]
    d = [put(corpus, i, image, text, weight) for i in range(len(corpus))]
    return np.array([[a @ b for b in d] for a in q])


def ndcg_at(gains, all_gains, k):
    """NDCG of one list, by a loop."""
    found = sum(gain / np.log2(rank + 2) for rank, gain in enumerate(gains[:k]))
    best = sum(gain / np.log2(rank + 2) for rank, gain in enumerate(sorted(all_gains, reverse=True)[:k]))
    return found / best if best else 0.0
