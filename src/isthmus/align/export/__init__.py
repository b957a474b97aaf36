"""Aligners where vectors live: ONNX, torch, NumPy, FAISS; sentence-transformers is in a file of its own."""

from isthmus.align.export.about import about
from isthmus.align.export.faiss_transform import faiss_chain, to_faiss
from isthmus.align.export.layers import Layers, layers_of
from isthmus.align.export.numpy_file import write_numpy
from isthmus.align.export.onnx_file import write_onnx
from isthmus.align.export.torch_file import write_torch

__all__ = [
    "Layers",
    "about",
    "faiss_chain",
    "layers_of",
    "to_faiss",
    "write_numpy",
    "write_onnx",
    "write_torch",
]
