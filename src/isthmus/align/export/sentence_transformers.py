"""An aligner as the last module of a SentenceTransformer, which saves and loads it with the rest."""

from pathlib import Path
from typing import Any, Self

try:
    import torch
    from sentence_transformers.base.modules import Module
except ImportError as error:
    raise ImportError(
        f'AlignerModule needs {error.name or "sentence-transformers"}: pip install "isthmus[clip]"'
    ) from error

from isthmus.align.affine import PairedAligner
from isthmus.align.export.layers import Modality, layers_of
from isthmus.align.files import load_aligner, read_provenance, read_verification, save_aligner
from isthmus.align.provenance import Provenance
from isthmus.checks import check_rows

_FILE = "aligner.safetensors"
_ACTIVATIONS = {"relu": torch.nn.ReLU, "gelu": torch.nn.GELU, "tanh": torch.nn.Tanh}


class AlignerModule(Module):
    """Map what a multimodal SentenceTransformer gives, each modality by its own map.

    Weights do not train. Loading a model that ends in this module imports
    isthmus, which sentence-transformers does with ``trust_remote_code=True``.

    Parameters
    ----------
    aligner : PairedAligner
        Fitted on embeddings of the modules before it.
    modalities : tuple of str, default=("image", "text")
        What sentence-transformers calls the first and the second modality.
    verified : dict, optional
        Kept in the aligner's file, as by :func:`isthmus.align.save_aligner`.
    provenance : Provenance, optional
        Kept there too.

    Examples
    --------
    >>> from isthmus.align import MeanShift
    >>> module = AlignerModule(MeanShift().fit([[1.0, 0], [1, 0]], [[0.0, 1], [0, 1]]))
    >>> features = {"sentence_embedding": torch.tensor([[3.0, 0.0]]), "modality": "image"}
    >>> module(features)["sentence_embedding"].round(decimals=3)
    tensor([[0.7070, 0.7070]])
    """

    config_keys = ["modalities"]  # noqa: RUF012  as the base class has it

    def __init__(
        self,
        aligner: PairedAligner,
        modalities: tuple[str, str] = ("image", "text"),
        *,
        verified: dict[str, Any] | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        super().__init__()
        if len(modalities) != 2 or len(set(modalities)) != 2:
            raise ValueError(f"modalities must be two different names, got {modalities!r}")
        self.aligner, self.modalities = aligner, tuple(modalities)
        self.verified, self.provenance = verified, provenance
        sides: tuple[Modality, Modality] = ("x", "y")
        self.maps = torch.nn.ModuleDict({side: _Map(aligner, side) for side in sides})

    @classmethod
    def from_file(cls, path: str | Path, modalities: tuple[str, str] | None = None) -> Self:
        """Return the module of a saved aligner.

        Parameters
        ----------
        path : str or Path
            File that :func:`isthmus.align.save_aligner` wrote.
        modalities : tuple of str, optional
            What sentence-transformers calls the first and the second modality. By default as the file tells.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            It is not a file of an aligner, or does not tell the modalities, which are not given either.
        """
        told = read_provenance(path)
        if modalities is None:
            names = (told.x.modality, told.y.modality) if told else (None, None)
            if names[0] is None or names[1] is None:
                raise ValueError(
                    f"modalities must be given, such as ('image', 'text'): {path} tells "
                    f"x: {names[0] or 'nothing'}, y: {names[1] or 'nothing'}"
                )
            modalities = (names[0], names[1])
        return cls(load_aligner(path), modalities, verified=read_verification(path), provenance=told)

    def forward(self, features: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Replace ``features["sentence_embedding"]``, of shape (n, dim).

        A batch of sentence-transformers 6 is of one modality, which
        ``features["modality"]`` names; one of its earlier CLIP module
        says in ``features["image_text_info"]`` of each row whether it is an image (0) or a text (1).

        Raises
        ------
        ValueError
            The batch does not tell its modality, or tells another one than the aligner's; or rows are of
            another width than the aligner was fitted on, zero or not finite.
        """
        rows = features["sentence_embedding"]
        self._check(rows)
        info = features.get("image_text_info")
        if info is None:
            if "modality" not in features:
                raise ValueError(
                    "the batch must tell its modality, in features['modality'] or "
                    f"features['image_text_info'], got features {', '.join(features)}"
                )
            features["sentence_embedding"] = self._map_of(features["modality"])(rows)
            return features
        is_text = torch.as_tensor(info, device=rows.device).bool()[:, None]
        image, text = (self._map_of(name)(rows) for name in ("image", "text"))
        features["sentence_embedding"] = torch.where(is_text, text, image)
        return features

    def _check(self, rows: torch.Tensor) -> None:
        dim = self.aligner.n_features_in_
        if rows.ndim != 2 or rows.shape[1] != dim:
            raise ValueError(f"sentence_embedding must have shape (n, {dim}), got {tuple(rows.shape)}")
        largest = rows.abs().amax(dim=1)
        if not ((largest > 0) & torch.isfinite(largest)).all():
            check_rows(rows.detach().cpu().double().numpy(), "sentence_embedding")

    def _map_of(self, modality: Any) -> torch.nn.Module:
        if modality not in self.modalities:
            raise ValueError(
                f"the aligner maps {' and '.join(self.modalities)}, the batch is of modality {modality!r}"
            )
        return self.maps["xy"[self.modalities.index(modality)]]

    def get_embedding_dimension(self) -> int:
        """Return the width of what comes out."""
        return self.aligner._n_features_out

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Write the aligner's file and the names of the modalities into a folder."""
        self.save_config(output_path)
        path = Path(output_path) / _FILE
        save_aligner(self.aligner, path, verified=self.verified, provenance=self.provenance)

    @classmethod
    def load(
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        init_defaults: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Read what `save` wrote, from a folder or the hub.

        Raises
        ------
        FileNotFoundError
            There is no file of an aligner.
        """
        place: dict[str, Any] = {
            "subfolder": subfolder,
            "token": token,
            "cache_folder": cache_folder,
            "revision": revision,
            "local_files_only": local_files_only,
        }
        path = cls.load_file_path(model_name_or_path, _FILE, **place)
        if path is None:
            raise FileNotFoundError(f"no such file: {model_name_or_path}/{subfolder}/{_FILE}")
        return cls.from_file(path, tuple(cls.load_config(model_name_or_path, **place)["modalities"]))


class _Map(torch.nn.Module):
    """One map, between two scalings to unit length, on the device that the model is on."""

    def __init__(self, aligner: PairedAligner, modality: Modality) -> None:
        super().__init__()
        layers = layers_of(aligner, modality)
        steps: list[torch.nn.Module] = []
        centre, biases = None, layers.biases
        if layers.centred:
            centre, biases = torch.from_numpy(layers.centred[0]), (layers.centred[1],)
        self.register_buffer("centre", centre)
        for weight, bias in zip(layers.weights, biases, strict=True):
            if steps:
                steps.append(_ACTIVATIONS[layers.activation or ""]())
            linear = torch.nn.Linear(*weight.shape)
            linear.weight.data, linear.bias.data = torch.from_numpy(weight.T.copy()), torch.from_numpy(bias)
            steps.append(linear)
        self.steps = torch.nn.Sequential(*steps).requires_grad_(False)
        self.residual = layers.residual

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        single = rows.float()
        scaled = single / single.abs().amax(dim=1, keepdim=True)  # squares of half precision may overflow
        unit = scaled / scaled.norm(dim=1, keepdim=True)
        if self.centre is not None:
            unit = unit - self.centre.float()
        out = self.steps.float()(unit) + unit if self.residual else self.steps.float()(unit)
        return torch.nn.functional.normalize(out).to(rows.dtype)
