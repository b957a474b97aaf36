"""Arithmetic of embeddings across modalities."""
