"""Models of pictures and words (CLIP, SigLIP): photos and texts as points of one space.

A photo becomes one row, as a region that is the whole photo does: `Embedder` fulfils `Regions`,
so that photos are read, stored and found again as for every backbone. Texts are cut into tokens by
the model's `tokenizer.json`, which is data and no code.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from miacap import devices
from miacap.data.features import Preprocessing
from miacap.devices import Device
from miacap.errors import RunError, SettingsError
from miacap.reading import read_bytes
from miacap.visual.huggingface.finding import find
from miacap.visual.huggingface.folder import ModelFolder
from miacap.visual.huggingface.preparation import preparation
from miacap.visual.huggingface.weights import build, configuration
from miacap.visual.pixels import Pixels
from miacap.visual.places import Places
from miacap.visual.precision import computed
from miacap.visual.preprocessing import prepare
from miacap.wording import counted

PREFIX = "embedding of hf:"
"""Begins the backbone's name in the record of embedded photos: they are no cells of a map."""
_TOKENIZER = "tokenizer.json"
_TEXTS = 64
_WITHOUT_MASK = ("siglip", "siglip2")
"""Models that learned from texts whose filling was not masked."""


class Embedder:
    """A model of pictures and words; fulfils `Regions` with one row a photo, of length 1.

    Args:
        name: of the model, without "hf:".
        folder: where it lies.
        device: where it runs.
        record: how photos are prepared; None takes the model's own way.

    Raises:
        RunError: no model of pictures and words, or one that lacks weights.
        SettingsError: no such device, or more than the memory that is left.
    """

    def __init__(
        self, name: str, folder: ModelFolder, device: Device = "auto",
        record: Preprocessing | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.device = folder, devices.choose(device)
        self._config = configuration(folder)
        from transformers.models.auto.modeling_auto import MODEL_MAPPING

        kind: Any = None
        if type(self._config) in MODEL_MAPPING:
            kind = MODEL_MAPPING[type(self._config)]
        if not (hasattr(kind, "get_text_features") and hasattr(kind, "get_image_features")):
            raise RunError(
                f"{folder.path}: no model of pictures and words; choose one such as CLIP or SigLIP."
            )
        filled = build(kind, self._config, folder)
        if filled.missing:
            raise filled.lacking(f"hf:{name}")
        self._network: Any = filled.network.requires_grad_(False).to(self.device)
        self.record = record or Preprocessing(
            PREFIX + name, folder.sha256, **preparation(folder.path)
        )
        blank = torch.zeros(1, 3, *self.record.sides)
        self.width = int(self._photos(blank).shape[1])

    @classmethod
    def rebuild(cls, record: Preprocessing, device: Device, places: Places) -> "Embedder":
        """Give the model of a record again; see `backbones.rebuild`. Raises RunError."""
        if not record.backbone.startswith(PREFIX):
            raise RunError(f"{record.backbone!r}: no embeddings of photos by a model.")
        if record.flips:
            raise RunError(
                f"{record.backbone!r}: one row of a whole photo is of the photo as it is; flips "
                "are for the cells of a backbone's map."
            )
        name = record.backbone.removeprefix(PREFIX)
        return cls(name, find(name, places, record.weights_sha256), device, record)

    def prepare(self, image: Image.Image | Pixels) -> Tensor:
        """Turn an upright RGB photo into the model's input."""
        return prepare(image, self.record)

    def regions(
        self, prepared: Sequence[Tensor]
    ) -> list[tuple[Float[Tensor, "N V"], Float[Tensor, "N 4"]]]:
        """Give the one row of each photo, of length 1, and the whole photo as its box."""
        if not prepared:
            return []
        whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
        return [(row[None], whole) for row in self._photos(torch.stack(list(prepared))).cpu()]

    def rows(
        self, images: Sequence[Image.Image]
    ) -> list[tuple[Float[Tensor, "N V"], Float[Tensor, "N 4"]]]:
        """Give the rows of upright RGB photos."""
        return self.regions([self.prepare(image) for image in images])

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Float[Tensor, "B V"]:
        """Give texts as rows of length 1, in memory of the CPU.

        Raises:
            RunError: the model has no tokenizer.json, or a damaged one.
        """
        cutter = _tokenizer(self.folder.path, self._config)
        masked = self.folder.config.get("model_type") not in _WITHOUT_MASK
        rows = []
        for start in range(0, len(texts), _TEXTS):
            cut = cutter.encode_batch(list(texts[start : start + _TEXTS]))
            ids = torch.tensor([one.ids for one in cut], device=self.device)
            more = {}
            if masked:
                kept = [one.attention_mask for one in cut]
                more["attention_mask"] = torch.tensor(kept, device=self.device)
            found = _tensor(self._network.get_text_features(input_ids=ids, **more))
            rows.append(normalize(found, dim=-1).cpu())
        return torch.cat(rows)

    @torch.inference_mode()
    def _photos(self, x: Tensor) -> Float[Tensor, "B V"]:
        try:
            found = computed(self._embedded, x, self.record.precision, self.device)
        except (ValueError, RuntimeError) as error:
            raise RunError(
                f"{self.folder.path}: it takes no photos of {x.shape[-2]} x {x.shape[-1]} "
                f"({str(error)[:120]})."
            ) from None
        return normalize(found, dim=-1)

    def _embedded(self, x: Tensor) -> Float[Tensor, "B V"]:
        return _tensor(self._network.get_image_features(pixel_values=x.to(self.device)))


def _tensor(found: Any) -> Tensor:
    """Newer transformers give a record whose pooled output is what was asked for."""
    rows: Tensor = found if isinstance(found, Tensor) else found.pooler_output
    return rows


def _tokenizer(folder: Path, config: Any) -> Any:
    from tokenizers import Tokenizer

    file = folder / _TOKENIZER
    if not file.is_file():
        raise RunError(
            f"{folder}: {_TOKENIZER} is absent, which cuts texts into tokens; copy it, too."
        )
    reading = config.text_config
    length = int(getattr(reading, "max_position_embeddings", 64))
    try:
        cutter = Tokenizer.from_str(read_bytes(file).decode())
        filling = cutter.padding or {}
        cutter.enable_truncation(length)
        cutter.enable_padding(
            length=length,
            pad_id=filling.get("pad_id", getattr(reading, "pad_token_id", None) or 0),
            pad_token=filling.get("pad_token", "[PAD]"),
        )
    except Exception as error:  # the library raises plain Exceptions
        raise RunError(f"{file}: no tokenizer ({str(error)[:120]}); copy it again.") from None
    most = int(getattr(reading, "vocab_size", 0))
    if cutter.get_vocab_size() > most:
        raise SettingsError(
            f"{file}: knows {counted(cutter.get_vocab_size(), 'token')}, the model {most}; copy "
            "the folder of one model."
        )
    return cutter
