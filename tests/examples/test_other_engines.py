"""Caption scores in a Hugging Face Trainer, and in Lightning: the examples, run."""

import importlib.util
import runpy
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from miacap.errors import UnknownName
from miacap.metrics import score

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
WORDS = ["<pad>", "<bos>", "<eos>", "a", "dog", "cat", "runs", "sleeps", "on", "grass"]
REFERENCES = [["a dog runs on grass", "a dog runs"], ["a cat sleeps", "the cat sleeps on grass"]]
CAPTIONS = ["a dog runs on grass", "a dog sleeps"]


# Hugging Face


def caption_scores(*arguments: Any) -> Any:
    made = runpy.run_path(str(EXAMPLES / "hugging_face_trainer.py"))
    return made["caption_scores"](*arguments)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    tokenizers, transformers = (
        pytest.importorskip("tokenizers"),
        pytest.importorskip("transformers"),
    )
    words = {word: id for id, word in enumerate(WORDS)}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<pad>"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=model, **special)


def ids(captions: list[str], pad: int = -100) -> torch.Tensor:
    rows = [[1, *(WORDS.index(w) for w in text.split()), 2] for text in captions]
    longest = max(map(len, rows))
    return torch.tensor([row + [pad] * (longest - len(row)) for row in rows])


def test_what_the_trainer_hands_over_is_decoded_and_scored(tokenizer: Any) -> None:
    compute = caption_scores(tokenizer, REFERENCES)
    expected = dict(score(REFERENCES, CAPTIONS, ["BLEU-4", "ROUGE-L", "CIDEr-D"]))
    for _ in range(2):  # each evaluation is scored alone
        assert compute(types.SimpleNamespace(predictions=ids(CAPTIONS).numpy())) == expected


def test_a_misspelt_metric_is_said_before_an_epoch(tokenizer: Any) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'CIDEr-D'"):
        caption_scores(tokenizer, REFERENCES, ["CIDER-E"])


class Pictures(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Two pictures, each one colour, with their captions."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {
            "pixel_values": torch.full((3, 8, 8), float(index)),
            "labels": ids([some[0] for some in REFERENCES])[index],
        }


def small_model() -> Any:
    """A captioner of transformers: a ViT that sees and a GPT-2 that speaks, both tiny."""
    transformers = pytest.importorskip("transformers")
    eye = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        image_size=8, patch_size=4,
    )  # fmt: skip
    voice = transformers.GPT2Config(
        vocab_size=len(WORDS), n_positions=16, n_embd=16, n_layer=1, n_head=2,
        bos_token_id=1, eos_token_id=2, add_cross_attention=True, is_decoder=True,
    )  # fmt: skip
    both = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(eye, voice)
    both.decoder_start_token_id, both.pad_token_id, both.eos_token_id = 1, 0, 2
    model = transformers.VisionEncoderDecoderModel(config=both)
    for name, id in (("decoder_start", 1), ("bos", 1), ("eos", 2), ("pad", 0)):
        setattr(model.generation_config, f"{name}_token_id", id)
    return model


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # what transformers warns of is not ours
def test_a_trainer_logs_the_scores_of_each_epoch(tokenizer: Any, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = small_model()
    trainer = transformers.Seq2SeqTrainer(
        model=model,
        train_dataset=Pictures(),
        eval_dataset=Pictures(),
        compute_metrics=caption_scores(tokenizer, REFERENCES),
        args=transformers.Seq2SeqTrainingArguments(
            str(tmp_path / "out"), eval_strategy="epoch", predict_with_generate=True,
            num_train_epochs=2, generation_max_length=8, report_to=[], use_cpu=True,
            save_strategy="best", metric_for_best_model="CIDEr-D", disable_tqdm=True,
        ),
    )  # fmt: skip
    trainer.train()
    logged = [line for line in trainer.state.log_history if "eval_CIDEr-D" in line]
    assert [line["epoch"] for line in logged] == [1, 2]
    model.eval()
    pixels = torch.stack([one["pixel_values"] for one in Pictures()])  # type: ignore[attr-defined]
    words = model.generate(pixels, max_length=8)
    captions = tokenizer.batch_decode(words, skip_special_tokens=True)
    for name, value in score(REFERENCES, captions, ["BLEU-4", "ROUGE-L", "CIDEr-D"]).items():
        assert logged[-1][f"eval_{name}"] == pytest.approx(value, abs=1e-12)
    assert trainer.state.best_metric == max(line["eval_CIDEr-D"] for line in logged)


# Lightning


class Module:
    """What a callback sees of a LightningModule."""

    def __init__(self) -> None:
        self.logged: list[dict[str, float]] = []

    def log_dict(self, values: dict[str, float], prog_bar: bool = False) -> None:
        self.logged.append(values)


def callback(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> Any:
    """The example's callback; Lightning stands in as a module with a bare `Callback`."""
    fake = types.ModuleType("lightning.pytorch")
    fake.Callback = type("Callback", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lightning", types.ModuleType("lightning"))
    monkeypatch.setitem(sys.modules, "lightning.pytorch", fake)
    made = runpy.run_path(str(EXAMPLES / "lightning_callback.py"))
    return made["CaptionScores"](*arguments)


def validate(hooks: Any, module: Module, **state: Any) -> None:
    """Call the hooks in Lightning's order, with Lightning's arguments, one picture a batch."""
    trainer = types.SimpleNamespace(**{"sanity_checking": False, "world_size": 1} | state)
    hooks.on_validation_epoch_start(trainer, module)
    for index, (caption, references) in enumerate(zip(CAPTIONS, REFERENCES, strict=True)):
        outputs = {"captions": [caption], "references": [references]}
        hooks.on_validation_batch_end(trainer, module, outputs, "a batch", index, dataloader_idx=0)
    hooks.on_validation_epoch_end(trainer, module)


def test_the_callback_logs_the_scores_of_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    module, hooks = Module(), callback(monkeypatch)
    validate(hooks, module, sanity_checking=True)
    assert module.logged == []
    validate(hooks, module)
    validate(hooks, module)  # each epoch is scored alone
    expected = dict(score(REFERENCES, CAPTIONS, ["BLEU-4", "ROUGE-L", "CIDEr-D"]))
    assert module.logged == [expected, expected]


def test_parts_of_a_split_are_not_scored_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="Validate in one process"):
        validate(callback(monkeypatch), Module(), world_size=2)


def test_a_misspelt_metric_of_the_callback_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'ROUGE-L'"):
        callback(monkeypatch, ["ROUGE-K"])


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("lightning") is None, reason="lightning is not installed"
)
def test_lightning_itself_logs_them(tmp_path: Path) -> None:
    from lightning import pytorch  # type: ignore[import-not-found]

    class Says(pytorch.LightningModule):  # type: ignore[misc]
        def validation_step(self, batch: torch.Tensor, index: int) -> dict[str, list[Any]]:
            return {"captions": [CAPTIONS[index]], "references": [REFERENCES[index]]}

    made = runpy.run_path(str(EXAMPLES / "lightning_callback.py"))
    trainer = pytorch.Trainer(
        callbacks=[made["CaptionScores"]()], accelerator="cpu", logger=False,
        enable_progress_bar=False, default_root_dir=tmp_path,
    )  # fmt: skip
    batches = torch.utils.data.DataLoader(torch.zeros(2, 1), batch_size=1)
    (found,) = trainer.validate(Says(), batches, verbose=False)
    expected = score(REFERENCES, CAPTIONS, ["BLEU-4", "ROUGE-L", "CIDEr-D"])
    assert found == pytest.approx(dict(expected), abs=1e-6)  # logged in single precision
