"""What the libraries of encoders need in order to be imported at all."""

import importlib.util

if importlib.util.find_spec("torch") and importlib.util.find_spec("torchvision"):
    import torch

    if torch.version.cuda is None:
        # a torchvision built for CUDA expects operators that torch for the processor does not have
        _operators = torch.library.Library("torchvision", "FRAGMENT")
        for _name in ("nms", "qnms"):
            _operators.define(f"{_name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
