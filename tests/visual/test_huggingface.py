"""Vision models of transformers: cells, what is dropped, what is refused, found again elsewhere."""

import json
import runpy
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from PIL import Image

from miacap import settings
from miacap.data.features import parse
from miacap.errors import DataError, MissingExtra, RunError
from miacap.visual import Grid, Places, load, preprocessing_for, regions_for
from miacap.visual.backbone import Backbone
from miacap.visual.huggingface import preparation, typed
from miacap.visual.preprocessing import prepare

pytest.importorskip("transformers")
SAVE: Callable[..., Path] = runpy.run_path(str(Path(__file__).with_name("small_models.py")))["save"]
PREFIX = {"vit": 1, "vit-classifier": 1, "clip": 1, "siglip": 0, "dinov2": 1,
          "dinov2-registers": 5, "swin": 0}  # fmt: skip
MAPS = ("resnet", "convnext")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of small models; look, but do not change them."""
    folder = tmp_path_factory.mktemp("models")
    for name in (*PREFIX, *MAPS):
        SAVE(name, folder / name)
    return folder


@pytest.fixture
def copied(models: Path, tmp_path: Path) -> Path:
    """A small ViT to change."""
    return Path(shutil.copytree(models / "vit", tmp_path / "vit"))


def by_the_library(folder: Path, x: torch.Tensor) -> torch.Tensor:
    """What transformers itself makes of a folder and photos, tokens as they come."""
    import transformers
    from transformers import AutoModel

    transformers.utils.logging.set_verbosity(50)
    model = AutoModel.from_pretrained(folder).eval()
    model = getattr(model, "vision_model", model)
    with torch.no_grad():
        y: torch.Tensor = model(pixel_values=x).last_hidden_state
    return y


@pytest.mark.parametrize("name", [*PREFIX, *MAPS])
def test_cells_are_the_librarys_own_tokens(models: Path, name: str) -> None:
    net = load(f"hf:{models / name}")
    assert isinstance(net, Backbone) and net.name == f"hf:{name}" and net.width == 16
    torch.manual_seed(0)
    x = torch.rand(2, 3, 32, 32)
    wanted = by_the_library(models / name, x)
    found = net.map(x)
    assert found.shape == (2, 16, 4, 4)
    for row in range(4):
        for column in range(4):
            if name in MAPS:
                cell = wanted[:, :, row, column]
            else:
                cell = wanted[:, PREFIX[name] + 4 * row + column]
            torch.testing.assert_close(found[:, :, row, column], cell)
    record = preprocessing_for(net)
    assert (record.size, record.interpolation, record.resize) == (32, "bicubic", "squash")
    assert record.mean == (0.48, 0.45, 0.40) and record.std == (0.26, 0.26, 0.27)
    assert Grid(net).boxes().shape == (16, 4)


@pytest.mark.parametrize("name", ["vit", "clip", "siglip", "dinov2", "convnext", "swin"])
def test_grids_need_not_be_square(models: Path, name: str) -> None:
    net = load(f"hf:{models / name}")
    grid = Grid(net, preprocessing_for(net, size=(32, 64)))
    photo = Image.effect_noise((100, 50), 80).convert("RGB")
    rows, places = grid.rows([photo])[0]
    assert rows.shape == (32, 16) and places.shape == (32, 4)
    assert places[1].tolist() == [0.125, 0, 0.25, 0.25]
    pooled = Grid(net, preprocessing_for(net, size=(32, 64), grid=(2, 4))).rows([photo])[0][0]
    cells = rows.view(4, 8, 16)
    wanted = torch.stack([
        cells[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((0, 1)) for i in range(2) for j in range(4)
    ])  # fmt: skip
    torch.testing.assert_close(pooled, wanted)


def test_a_run_finds_the_model_wherever_it_lies(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = load(f"hf:{models / 'siglip'}")
    record = preprocessing_for(net)
    assert str(models) not in json.dumps(settings.to_json(record))
    again = parse(json.loads(json.dumps(settings.to_json(record))), "preprocessing.json")
    elsewhere = Path(shutil.copytree(models / "siglip", tmp_path / "other" / "renamed"))
    photo = Image.radial_gradient("L").convert("RGB")
    wanted = Grid(net).rows([photo])[0][0]
    for place in (elsewhere, models):  # the folder itself, or the one that it lies in
        regions = regions_for(again, "cpu", places=Places.of([place]))
        assert torch.equal(regions.rows([photo])[0][0], wanted)
    with pytest.raises(RunError) as e:
        regions_for(again, "cpu")
    assert str(e.value) == (
        "The model hf:siglip is not on this machine. Name its folder (--weights FOLDER, or "
        "MIACAP_WEIGHTS=FOLDER), or let it be fetched where a command has --allow-download."
    )
    monkeypatch.setenv("MIACAP_WEIGHTS", f"{tmp_path / 'absent'}:{models}")
    assert torch.equal(regions_for(again, "cpu").rows([photo])[0][0], wanted)


def test_another_model_of_the_same_name_is_refused(models: Path, copied: Path) -> None:
    record = preprocessing_for(load(f"hf:{models / 'vit'}"))
    values = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**values, "layer_norm_eps": 0.1}))
    with pytest.raises(RunError, match=r"is another than the one that is wanted \(SHA-256 "):
        regions_for(record, "cpu", places=Places.of([copied]))
    # Where both are named, the checksum decides.
    assert regions_for(record, "cpu", places=Places.of([copied, models])).record == record


@pytest.mark.parametrize(
    "name", ["/etc", "../vit", "a/../b", ".", "~", "a//b", "a/b/c", "a b", "", "a\n", "é"]
)
def test_a_record_leads_to_no_folder(models: Path, name: str, monkeypatch: Any) -> None:
    monkeypatch.chdir(models)
    record = replace(preprocessing_for(load("hf:vit")), backbone=f"hf:{name}")
    with pytest.raises(RunError, match="is no name of a model"):
        regions_for(record)
    with pytest.raises(RunError, match="not on this machine"):  # nor does a plain name, here
        regions_for(replace(record, backbone="hf:vit"))


def test_the_librarys_cache_is_searched_by_name(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    snapshot = tmp_path / "models--someone--small" / "snapshots" / ("ab" * 20)
    shutil.copytree(models / "dinov2", snapshot)
    asked: list[tuple[str, str, str | None]] = []

    def cached(repo: str, file: str, revision: str | None = None) -> str | None:
        asked.append((repo, file, revision))
        return str(snapshot / file) if repo == "someone/small" else None

    def fetched(repo: str, **more: Any) -> str:
        raise OSError(f"no route to {repo}")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    net = load("hf:someone/small")
    assert net.name == "hf:someone/small" and net.width == 16
    assert regions_for(preprocessing_for(net)).record.title == "hf:someone/small"
    assert typed(str(snapshot), Places())[0] == "someone/small"
    load("hf:someone/small@v2")
    assert asked[-1] == ("someone/small", "config.json", "v2")
    with pytest.raises(RunError, match=r"hf:someone/large is not on this machine"):
        load("hf:someone/large")  # nothing is fetched unless that is allowed
    with pytest.raises(RunError, match=r"could not be fetched \(no route to someone/large\)"):
        load("hf:someone/large", places=Places((), download=True))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repo, **more: str(snapshot))
    assert load("hf:someone/large", places=Places((), download=True)).width == 16


def test_folders_that_are_no_model(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"absent: there is no such folder"):
        load(f"hf:{tmp_path / 'absent'}")
    with pytest.raises(RunError, match=r"config\.json: there is no such file"):
        load(f"hf:{tmp_path}")
    with pytest.raises(DataError, match="no such file or folder of weights"):
        Places.of([tmp_path / "absent"])
    (copied / "preprocessor_config.json").unlink()
    with pytest.raises(RunError, match=r"preprocessor_config\.json is absent, which says how"):
        load(f"hf:{copied}")


def change(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_pickles_are_refused_in_words(copied: Path) -> None:
    torch.save({"a": torch.zeros(1)}, copied / "pytorch_model.bin")
    load(f"hf:{copied}")  # beside safetensors nobody looks at it
    (copied / "model.safetensors").unlink()
    with pytest.raises(RunError) as e:
        load(f"hf:{copied}")
    assert str(e.value) == (
        f"{copied}: its weights are in a form that is not read (pytorch_model.bin: a pickle can "
        "run code). Save them as safetensors, where you trust them: "
        "model.save_pretrained(FOLDER, safe_serialization=True)"
    )
    (copied / "pytorch_model.bin").unlink()
    with pytest.raises(RunError, match=r"no weights here \(model\.safetensors is absent\)"):
        load(f"hf:{copied}")


def test_code_of_others_is_never_run(copied: Path) -> None:
    mark = copied / "mark"
    (copied / "modeling_own.py").write_text(f"open({str(mark)!r}, 'w')\nclass Own: ...\n")
    change(copied, auto_map={"AutoModel": "modeling_own.Own", "AutoConfig": "modeling_own.Own"})
    load(f"hf:{copied}")  # transformers' own ViT is taken
    change(copied, model_type="own")
    with pytest.raises(RunError, match=r"no model of type 'own'; it brings its own code, which is"):
        load(f"hf:{copied}")
    assert not mark.exists()


def test_weights_in_several_files_stay_in_their_folder(models: Path, copied: Path) -> None:
    tensors = safetensors.torch.load_file(copied / "model.safetensors")
    names = sorted(tensors)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, own in parts.items():
        safetensors.torch.save_file({name: tensors[name] for name in own}, copied / file)
    (copied / "model.safetensors").unlink()
    index = copied / "model.safetensors.index.json"
    where = {name: file for file, own in parts.items() for name in own}
    index.write_text(json.dumps({"weight_map": where}))
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(load(f"hf:{copied}").map(x), load(f"hf:{models / 'vit'}").map(x))
    for file in ("../vit/model-1.safetensors", "/etc/passwd", "model.bin"):
        index.write_text(json.dumps({"weight_map": {**where, names[0]: file}}))
        with pytest.raises(RunError, match="is no safetensors file of this folder"):
            load(f"hf:{copied}")
    index.write_text(json.dumps({"weight_map": {**where, names[0]: "model-3.safetensors"}}))
    with pytest.raises(RunError, match=r"model-3\.safetensors is absent, which"):
        load(f"hf:{copied}")
    index.write_text(json.dumps({"weight_map": 3}))
    with pytest.raises(RunError, match="names no files of weights"):
        load(f"hf:{copied}")


def rewrite(folder: Path, change_them: Callable[[dict[str, torch.Tensor]], object]) -> None:
    file = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    change_them(tensors)
    safetensors.torch.save_file(tensors, file)


def test_partial_and_wrong_weights_are_named(models: Path, copied: Path) -> None:
    rewrite(copied, lambda t: t.pop("layernorm.bias"))
    with pytest.raises(RunError) as e:
        load(f"hf:{copied}")
    assert str(e.value) == (
        "The backbone hf:vit: its file of weights lacks 'layernorm.bias'. Choose the folder of "
        "this network, or copy the file again."
    )
    rewrite(copied, lambda t: t.update({"layernorm.bias": torch.zeros(3)}))
    with pytest.raises(
        RunError, match=r"'layernorm\.bias' have shape \[3\], and .* asks for \[16\]"
    ):
        load(f"hf:{copied}")
    shutil.copy(models / "resnet" / "model.safetensors", copied / "model.safetensors")
    with pytest.raises(
        RunError, match=r"lacks 'embeddings.cls_token'.* more; the file has 'embedd"
    ):
        load(f"hf:{copied}")
    (copied / "model.safetensors").write_bytes(b"\x10" * 99)
    with pytest.raises(RunError, match=r"no whole safetensors file"):
        load(f"hf:{copied}")


def test_weights_that_the_cells_do_not_need_may_be_missing(copied: Path) -> None:
    rewrite(copied, lambda t: [t.pop(name) for name in list(t) if name.startswith("pooler.")])
    assert bool(load(f"hf:{copied}").map(torch.rand(1, 3, 32, 32)).isfinite().all())


def test_networks_that_give_no_cells(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="gives other numbers each time that it sees a photo"):
        load(f"hf:{SAVE('masked', tmp_path / 'masked')}")
    change(copied, model_type="bert")
    with pytest.raises(RunError, match=r"The backbone hf:vit is no vision model"):
        load(f"hf:{copied}")
    change(copied, model_type="vit", hidden_size=10**9)
    with pytest.raises((RunError, settings.SettingsError), match=r"GB|cannot be built|beyond"):
        load(f"hf:{copied}")
    change(copied, hidden_size="wide")
    with pytest.raises(RunError, match=r"makes no sense|cannot be built"):
        load(f"hf:{copied}")
    change(copied, hidden_size=16, quantization_config={"quant_method": "bitsandbytes"})
    with pytest.raises(RunError, match="its weights are quantised"):
        load(f"hf:{copied}")


def test_the_library_may_be_absent(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingExtra) as e:
        load(f"hf:{models / 'vit'}")
    assert "needs the extra [hf]: pip install 'miacap[hf]'" in str(e.value)


PIXEL = Image.new("RGB", (40, 40), (51, 102, 204))


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({}, [(0.2 - 0.48) / 0.26, (0.4 - 0.45) / 0.26, (0.8 - 0.4) / 0.27]),
        ({"do_normalize": False}, [0.2, 0.4, 0.8]),
        ({"do_rescale": False, "do_normalize": False}, [51.0, 102.0, 204.0]),
        ({"rescale_factor": 2 / 255, "rescale_offset": True, "do_normalize": False},
         [-0.6, -0.2, 0.6]),
        ({"rescale_factor": 1 / 127.5, "image_mean": 1.0, "image_std": 0.5}, [-1.2, -0.4, 1.2]),
        ({"do_normalize": False, "do_flip_channel_order": True}, [0.8, 0.4, 0.2]),
    ],
)  # fmt: skip
def test_numbers_become_what_the_processor_makes_of_them(
    tmp_path: Path, said: dict[str, Any], wanted: list[float]
) -> None:
    own = preparation(SAVE("vit", tmp_path / "m", **said))
    net = load("efficientnet-lite0")
    record = preprocessing_for(net, **own)
    x = prepare(PIXEL, record)
    assert x[:, 3, 3].tolist() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ({"size": {"height": 32, "width": 64}}, (32, 64)),
        ({"size": {"shortest_edge": 40}, "do_center_crop": True,
          "crop_size": {"height": 32, "width": 32}}, 32),
        ({"size": {"shortest_edge": 48}, "crop_size": {"height": 32, "width": 32}}, 48),
        ({"size": 48}, 48),
        ({"size": {"longest_edge": 48}}, 48),
    ],
)  # fmt: skip
def test_the_size_is_what_the_network_is_fed(tmp_path: Path, said: Any, size: Any) -> None:
    assert preparation(SAVE("vit", tmp_path / "m", **said))["size"] == size


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"image_mean": [0.5, 0.5]}, "image_mean is"),
        ({"image_std": [0.5, "a", 0.5]}, "image_std is a, and not a number"),
        ({"image_std": [0.5, 0.0, 0.5]}, "not above 0"),
        ({"rescale_factor": -1}, "not above 0"),
        ({"resample": 0}, r"resample is 0, and photos are scaled with 1 \(lanczos\)"),
    ],
)
def test_what_no_record_can_say_is_refused(tmp_path: Path, said: Any, why: str) -> None:
    with pytest.raises(RunError, match=why):
        preparation(SAVE("vit", tmp_path / "m", **said))


def test_a_combined_file_of_processors_is_read(copied: Path) -> None:
    own = preparation(copied)
    values = json.loads((copied / "preprocessor_config.json").read_text())
    (copied / "preprocessor_config.json").unlink()
    (copied / "processor_config.json").write_text(json.dumps({"image_processor": values}))
    assert preparation(copied) == own
