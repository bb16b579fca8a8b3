"""Small random models of transformers, saved as their folders are found on people's disks."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

PROCESSOR: Mapping[str, Any] = {
    "do_normalize": True,
    "do_rescale": True,
    "image_mean": [0.48, 0.45, 0.40],
    "image_std": [0.26, 0.26, 0.27],
    "resample": 3,
    "rescale_factor": 1 / 255,
    "size": {"height": 32, "width": 32},
}
SEEING = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "image_size": 32, "patch_size": 8,
}  # fmt: skip
READING = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "vocab_size": 64, "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2,
    "pad_token_id": 2,
}  # fmt: skip
_WITHOUT = {key: value for key, value in SEEING.items() if key != "intermediate_size"}


def _vit() -> Any:
    from transformers import ViTConfig, ViTModel

    return ViTModel(ViTConfig(**SEEING))


def _vit_classifier() -> Any:
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(ViTConfig(**SEEING))


def _clip() -> Any:
    from transformers import CLIPConfig, CLIPModel

    return CLIPModel(CLIPConfig(text_config=READING, vision_config=SEEING, projection_dim=8))


def _siglip() -> Any:
    from transformers import SiglipConfig, SiglipModel

    return SiglipModel(SiglipConfig(text_config=READING, vision_config=SEEING))


def _dinov2() -> Any:
    from transformers import Dinov2Config, Dinov2Model

    return Dinov2Model(Dinov2Config(**_WITHOUT))


def _registers() -> Any:
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    return Dinov2WithRegistersModel(Dinov2WithRegistersConfig(num_register_tokens=4, **_WITHOUT))


def _resnet() -> Any:
    from transformers import ResNetConfig, ResNetModel

    return ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]))


def _convnext() -> Any:
    from transformers import ConvNextConfig, ConvNextModel

    sizes = {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2}
    return ConvNextModel(ConvNextConfig(**sizes))


def _swin() -> Any:
    from transformers import SwinConfig, SwinModel

    sizes = {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 2}
    return SwinModel(SwinConfig(image_size=32, patch_size=4, **sizes))


def _masked() -> Any:
    from transformers import ViTMAEConfig, ViTMAEModel

    return ViTMAEModel(ViTMAEConfig(mask_ratio=0.0, **SEEING))


MODELS: Mapping[str, Callable[[], Any]] = {
    "vit": _vit, "vit-classifier": _vit_classifier, "clip": _clip, "siglip": _siglip,
    "dinov2": _dinov2, "dinov2-registers": _registers, "resnet": _resnet, "convnext": _convnext,
    "swin": _swin, "masked": _masked,
}  # fmt: skip


def save(name: str, folder: Path, **processor: Any) -> Path:
    """Save a model of `MODELS`, drawn from its own seed, with its processor's settings."""
    from miacap.visual.huggingface.weights import quiet

    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(len(name))
        model = MODELS[name]()
        with torch.no_grad():  # as after training: no two tokens are the same
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        model.eval().save_pretrained(folder)
    values = {**PROCESSOR, **processor}
    (folder / "preprocessor_config.json").write_text(json.dumps(values), encoding="utf-8")
    return folder


def save_pair(name: str, folder: Path, words: list[str]) -> Path:
    """Save a small model of pictures and words with a tokenizer that knows some words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    save(name, folder)
    known = {"[UNK]": 0, "<s>": 1, "</s>": 2}
    for word in words:
        known.setdefault(word, len(known))
    assert len(known) <= READING["vocab_size"]
    tokenizer = Tokenizer(WordLevel(known, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
