"""Zero-shot concepts: the model's own numbers, calibration, folders, runs and what is refused."""

import io
import json
import math
import runpy
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from miacap import captioning, runs
from miacap.concepts import ConceptFolder, ConceptSource, ZeroShotSettings, calibration, zero_shot
from miacap.concepts.zero_shot import ZeroShot
from miacap.data import Dataset, Entry
from miacap.data.store import FeatureStore
from miacap.errors import DataError, RunError, SettingsError
from miacap.explain import show
from miacap.files import sha256
from miacap.runs import RunSettings
from miacap.visual import Places, decode, extract, regions_for
from miacap.visual.huggingface import Embedder, ModelFolder

pytest.importorskip("transformers")
_SMALL = runpy.run_path(str(Path(__file__).parents[1] / "visual" / "small_models.py"))
SAVE: Callable[..., Path] = _SMALL["save_pair"]
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (20, 40, 230), "grey": (90,) * 3}
PROMPTS = ("a photo of {}.", "{}")
WORDS = ["a", "photo", "of", ".", "field", *COLOURS]
SETTINGS = ZeroShotSettings(prompts=PROMPTS, minimum_count=1)


class Drawn:
    """Photos of one colour with some noise, as PNG."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def read(self, id: str) -> bytes:
        colour = id.split("-")[0]
        noise = np.random.default_rng(sum(id.encode())).integers(-20, 20, (30, 40, 3))
        pixels = np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)
        photo = Image.fromarray(pixels)
        content = io.BytesIO()
        photo.save(content, "PNG")
        return content.getvalue()

    def __contains__(self, id: object) -> bool:
        return id in self.names


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    names = [f"{colour}-{number}" for number in range(10) for colour in COLOURS]
    entries = [
        Entry(name, (f"a {name.split('-')[0]} field",), "dev" if name[-1] in "89" else "train")
        for name in names
    ]
    return Dataset("colours", tuple(entries), Drawn(names), (), ())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SAVE("clip", tmp_path_factory.mktemp("models") / "small-clip", WORDS)


@pytest.fixture(scope="module")
def made(dataset: Dataset, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished folder; look, but do not change it."""
    folder = tmp_path_factory.mktemp("concepts") / "zs"
    zero_shot(dataset, f"hf:{model}", folder, SETTINGS, quiet=True)
    return folder


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_rows_are_the_models_own(tmp_path: Path, name: str) -> None:
    from transformers import AutoModel, PreTrainedTokenizerFast

    folder = SAVE(name, tmp_path / name, WORDS)
    mine = Embedder(name, ModelFolder.open(folder), "cpu")
    library = AutoModel.from_pretrained(folder).eval()
    cutter = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), pad_token="</s>"
    )
    texts = ["a photo of red.", "green", "a a a field"]
    cut = cutter(texts, return_tensors="pt", padding="max_length", max_length=16)
    mask = {} if name == "siglip" else {"attention_mask": cut["attention_mask"]}
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        found = library(input_ids=cut["input_ids"], pixel_values=x, **mask)
    torch.testing.assert_close(mine.texts(texts), found.text_embeds)
    rows = [row for row, _ in mine.regions(list(x))]
    torch.testing.assert_close(torch.cat(rows), found.image_embeds)
    assert mine.width == found.image_embeds.shape[1]
    again = Embedder.rebuild(mine.record, "cpu", Places((tmp_path,)))
    assert torch.equal(again.texts(texts), mine.texts(texts))


def test_scores_as_plain_loops(made: Path, model: Path, dataset: Dataset) -> None:
    folder = ConceptFolder.open(made)
    assert set(folder.source.words) == {"field", *COLOURS} and folder.source.looks
    kept = safetensors.torch.load_file(made / "zero-shot.safetensors")
    embedder = Embedder("m", ModelFolder.open(model), "cpu")
    photos = FeatureStore.open(made / "photos")
    train_names = [entry.id for entry in dataset.pictures if entry.split == "train"]
    for index, word in enumerate(folder.source.words):
        row = torch.stack([embedder.texts([p.replace("{}", word)])[0] for p in PROMPTS]).mean(0)
        row = row / row.norm()
        seen = []
        for name in train_names:
            photo = photos.rows(name)[0].float()
            seen.append(float(photo @ row / photo.norm()))
        mean = sum(seen) / len(seen)
        deviation = math.sqrt(sum((c - mean) ** 2 for c in seen) / len(seen))
        count = len(train_names) if word == "field" else len(train_names) / 4
        prior = (count + 0.5) / (len(train_names) + 1)
        a, b, c = kept["numbers"].tolist()
        for name, cosine in list(zip(train_names, seen, strict=True))[:5]:
            odds = a * (cosine - mean) / deviation + b * math.log(prior / (1 - prior)) + c
            wanted = min(1 - 1e-7, max(1e-7, 1 / (1 + math.exp(-odds))))
            assert float(folder.store.rows(name)[index]) == pytest.approx(wanted, abs=2e-3)


def test_calibration_is_the_best_there_is() -> None:
    torch.manual_seed(1)
    x = torch.randn(400, 5, 2)
    truth = torch.tensor([1.5, -0.7, 0.3], dtype=torch.float64)
    targets = torch.rand(400, 5) < calibration.probabilities(x, truth)

    def loss(numbers: torch.Tensor) -> float:
        p = calibration.probabilities(x, numbers).double()
        return float(-torch.where(targets, p.log(), (1 - p).log()).sum())

    halves = [(x[:150], targets[:150]), (x[150:], targets[150:])]
    found = calibration.fit(lambda: halves, 2)
    assert torch.allclose(found, truth, atol=0.25)
    for index in range(3):
        for step in (-0.02, 0.02):
            moved = found.clone()
            moved[index] += step
            assert loss(moved) > loss(found)
    sure = calibration.fit(lambda: [(x, x[..., 0] > 0)], 2)  # separable: finite all the same
    assert bool(sure.isfinite().all())


def test_dev_and_test_teach_nothing(
    made: Path, model: Path, dataset: Dataset, tmp_path: Path
) -> None:
    other = [
        entry if entry.split == "train" else replace(entry, captions=("red green blue",))
        for entry in dataset.pictures
    ]
    changed = Dataset("colours", tuple(other), dataset.photos, (), ())
    zero_shot(changed, str(model), tmp_path / "zs", SETTINGS, quiet=True)
    for name in ("zero-shot.safetensors", "concepts.json"):
        assert (tmp_path / "zs" / name).read_bytes() == (made / name).read_bytes()


def test_a_folder_goes_on_and_belongs_to_its_model(
    made: Path, model: Path, dataset: Dataset, tmp_path: Path
) -> None:
    again = zero_shot(dataset, str(model), made, SETTINGS, quiet=True)
    assert again == json.loads((made / "report.json").read_text())
    assert again["splits"]["dev"]["pictures"] == 8 and "P@49" in again["splits"]["dev"]["base rate"]
    with pytest.raises(RunError, match="begun with prompts="):
        zero_shot(dataset, str(model), made, replace(SETTINGS, prompts=("{}",)), quiet=True)
    with pytest.raises(RunError, match="begun with other models, words, captions or splits"):
        zero_shot(dataset, str(SAVE("siglip", tmp_path / "m", WORDS)), made, SETTINGS, quiet=True)


class Failing:
    """Photos of which one is absent, one cannot be read just now and one is damaged."""

    def __init__(self, photos: Any) -> None:
        self.photos = photos

    def read(self, id: str) -> bytes:
        if id == "red-1":
            raise DataError(f"{id}: cannot be read (the disk is asleep).")
        content: bytes = self.photos.read(id)
        return content[:60] if id == "blue-9" else content

    def __contains__(self, id: object) -> bool:
        return id != "grey-8" and id in self.photos


def test_photos_that_could_not_be_looked_at_come_later(
    model: Path, dataset: Dataset, tmp_path: Path
) -> None:
    failing, folder = replace(dataset, photos=Failing(dataset.photos)), tmp_path / "zs"
    first = zero_shot(failing, str(model), folder, SETTINGS, quiet=True)
    store = ConceptFolder.open(folder).store
    assert len(store) == 37 and list(store.set_aside) == ["blue-9"]
    assert first["splits"]["dev"]["pictures"] == 6
    fitted, before = (folder / "zero-shot.safetensors").read_bytes(), store.rows("red-2")
    assert zero_shot(failing, str(model), folder, SETTINGS, quiet=True) == first
    again = zero_shot(dataset, str(model), folder, SETTINGS, quiet=True)
    store = ConceptFolder.open(folder).store
    assert len(store) == 40 and not store.set_aside
    assert again["splits"]["dev"]["pictures"] == 8
    assert json.loads((folder / "report.json").read_text()) == again
    # The numbers are those of the first time: scores that runs have learned from stay as they are.
    assert (folder / "zero-shot.safetensors").read_bytes() == fitted
    assert torch.equal(store.rows("red-2"), before)
    kept = ZeroShot.load(folder, ConceptFolder.open(folder).source)
    photos = FeatureStore.open(folder / "photos")
    for name in ("red-1", "blue-9", "grey-8"):
        alone = kept.scores(photos.rows(name))[0]  # sums of a batch end in another last bit
        torch.testing.assert_close(store.rows(name), alone, rtol=0, atol=1e-6)


def test_a_report_of_fewer_photos_does_not_outlive_a_kill(
    model: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing, folder = replace(dataset, photos=Failing(dataset.photos)), tmp_path / "zs"
    zero_shot(failing, str(model), folder, SETTINGS, quiet=True)
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        # Its function hides the module in the package.
        patch.setattr(sys.modules["miacap.concepts.zero_shot"], "compare", lambda *_: 1 / 0)
        zero_shot(dataset, str(model), folder, SETTINGS, quiet=True)  # scores are there by then
    with pytest.raises(RunError, match="concepts zero-shot"):
        ConceptFolder.open(folder)
    assert (
        zero_shot(dataset, str(model), folder, SETTINGS, quiet=True)["splits"]["dev"]["pictures"]
        == 8
    )


def test_a_folder_that_was_stopped_goes_on_with_its_numbers(
    model: Path, dataset: Dataset, tmp_path: Path
) -> None:
    """Also where a training photo has come since, which would have changed them."""
    failing, folder = replace(dataset, photos=Failing(dataset.photos)), tmp_path / "zs"
    zero_shot(failing, str(model), folder, SETTINGS, quiet=True)
    (folder / "report.json").unlink()  # as a kill before the end leaves it
    fitted = (folder / "zero-shot.safetensors").read_bytes()
    zero_shot(dataset, str(model), folder, SETTINGS, quiet=True)
    assert (folder / "zero-shot.safetensors").read_bytes() == fitted
    assert len(ConceptFolder.open(folder).store) == 40


@pytest.mark.slow
def test_a_run_finds_the_concepts_of_new_photos(
    made: Path, model: Path, dataset: Dataset, tmp_path: Path
) -> None:
    store = extract(dataset, tmp_path / "features", "efficientnet-lite0", quiet=True)
    folder = ConceptFolder.open(made)
    settings = RunSettings(
        captioner="spatial-attention", source="combined", minimum_count=1, maximum_words=6,
        sizes={"width": 8, "heads": 2, "inner": 12, "rows": "aligned"}, concepts=3,
    )  # fmt: skip
    settings = replace(settings, training=replace(settings.training, epochs=1, warmup_steps=0))
    run = tmp_path / "run"
    captioning.train(dataset, store, run, settings, concepts=folder, quiet=True)
    assert str(model.parent) not in (run / "concepts.json").read_text()
    assert "It needs `hf:small-clip` (`" in (run / "README.md").read_text()
    content = dataset.photos.read("red-9")
    assert captioning.load(run, weights=[model]).caption(content) is not None
    loaded = runs.load(run)
    regions = regions_for(loaded.preprocessing, "cpu")
    inputs = captioning.inputs.Inputs.of_photos(loaded, regions, "cpu", places=Places((model,)))
    assert inputs.regions is not None
    photo = decode(content)
    live = inputs.live(["x"], [inputs.regions.prepare(photo)])
    stored = captioning.inputs.Inputs.of_run(loaded, store, folder).stored(["red-9"])
    assert torch.equal(live.concepts, stored.concepts)
    shown = show(loaded, photo, top=5, places=Places((model,)))
    wanted = folder.store.rows("red-9").sort(descending=True).values
    assert [one.probability for one in shown] == pytest.approx(wanted.tolist(), abs=1e-5)
    with pytest.raises(RunError, match="there is no heat map of a word"):
        show(loaded, photo, folder=tmp_path / "heat", places=Places((model,)))
    with pytest.raises(RunError, match="hf:small-clip is not on this machine"):
        captioning.load(run).caption(content)
    with pytest.raises(RunError, match=r"found in the photos themselves, .* --concepts FOLDER"):
        captioning.evaluate(loaded, dataset, "dev", store)
    captioning.evaluate(loaded, dataset, "dev", store, concepts=folder)
    (run / "zero-shot.safetensors").unlink()
    with pytest.raises(RunError, match=r"zero-shot\.safetensors: the weights of the concept"):
        captioning.load(run)


def test_descriptions_are_read_back_and_damage_is_told(made: Path, tmp_path: Path) -> None:
    source = ConceptSource.of(made)
    assert source is not None and source.model is not None
    source.save(tmp_path)
    assert ConceptSource.of(tmp_path) == source
    file = tmp_path / "zero-shot.safetensors"
    with pytest.raises(RunError, match="absent, or not what"):
        ZeroShot.load(tmp_path, source)
    tensors = safetensors.torch.load_file(made / "zero-shot.safetensors")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({**tensors, "mean": tensors["mean"][:2]}, "does not fit the words"),
        ({**tensors, "numbers": torch.full((3,), float("nan"))}, "does not fit the words"),
        ({**tensors, "prior": tensors["prior"][None]}, "these are no zero-shot concepts"),
        ({"words": tensors["words"]}, "these are no zero-shot concepts"),
    ]
    for content, why in wrong:
        safetensors.torch.save_file({k: v.contiguous() for k, v in content.items()}, file)
        sealed = replace(source, checksum=sha256(file))
        with pytest.raises(RunError, match=why):
            ZeroShot.load(tmp_path, sealed)


def test_models_that_do_not_pair(tmp_path: Path, dataset: Dataset, model: Path) -> None:
    alone = _SMALL["save"]("vit", tmp_path / "vit")
    with pytest.raises(RunError, match="no model of pictures and words"):
        zero_shot(dataset, str(alone), tmp_path / "a", SETTINGS, quiet=True)
    bare = _SMALL["save"]("clip", tmp_path / "clip")
    with pytest.raises(RunError, match=r"tokenizer\.json is absent"):
        zero_shot(dataset, str(bare), tmp_path / "b", SETTINGS, quiet=True)
    (bare / "tokenizer.json").write_text("{}")
    with pytest.raises(RunError, match=r"tokenizer\.json: no tokenizer"):
        zero_shot(dataset, str(bare), tmp_path / "b", SETTINGS, quiet=True)
    with pytest.raises(SettingsError, match=r"each with \{\} where the word stands"):
        ZeroShotSettings(prompts=("a photo",))
