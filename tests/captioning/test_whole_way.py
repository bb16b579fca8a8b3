"""The whole way once, on drawn scenes, and what goes wrong on it."""

import io
import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

import miacap
from miacap import captioning, concepts, runs
from miacap.captioning import Pipeline
from miacap.cli.application import app
from miacap.concepts import ConceptFolder
from miacap.errors import MiacapError, PictureError, RunError, SettingsError
from miacap.files import read_json, write_json
from miacap.runs import RunSettings
from miacap.visual import prepared, regions_for


def _settings(captioner: str, source: str, **sizes: object) -> RunSettings:
    run = RunSettings(
        captioner=captioner,
        source=source,
        sizes={"width": 32, "heads": 4, "inner": 64, **sizes},
        minimum_count=1,
        pictures_per_batch=8,
    )
    return replace(run, training=replace(run.training, epochs=2, warmup_steps=2, threads=1))


def test_a_run_folder_holds_what_captioning_needs(world) -> None:
    files = {path.name for path in world.run("combined").iterdir()}
    assert files >= {
        "settings.json",
        "vocabulary.json",
        "concepts.json",
        "preprocessing.json",
        "weights.safetensors",
        "extractor.safetensors",
        "metrics.jsonl",
        "checkpoints",
        "data.json",
        "environment.json",
        "README.md",
    }
    assert not [f for f in files if f.endswith((".pkl", ".pt", ".pth"))]
    lines = (world.run("combined") / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    assert {"CIDEr-D", "BLEU-4", "ROUGE-L", "distinct"} <= set(json.loads(lines[0]))


def test_a_photo_is_captioned_as_its_stored_features_are(world) -> None:
    """Live pixels -> caption equals stored features -> caption, for both kinds of run."""
    test = world.dataset.split("test")
    photos = [world.dataset.photos.read(name) for name in test.ids]
    for name in ("plain", "combined"):
        evaluated = captioning.evaluate(
            runs.load(world.run(name)), world.dataset, "test", world.regions, quiet=True
        )
        live = list(miacap.load(world.run(name)).rows(photos, test.ids))
        assert [row.caption for row in live] == [row.caption for row in evaluated.rows]
        for a, b in zip(live, evaluated.rows, strict=True):
            assert a.log_probability == pytest.approx(b.log_probability, abs=1e-3)
        assert evaluated.scores is not None and 0 <= evaluated.scores["CIDEr-D"] <= 10


def test_caption_takes_a_path_bytes_or_an_image(world, tmp_path: Path) -> None:
    name = world.dataset.split("test").ids[0]
    data = world.dataset.photos.read(name)
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    pipeline = miacap.load(world.run("combined"))
    captions = {pipeline.caption(photo) for photo in (path, str(path), data, Image.open(path))}
    assert len(captions) == 1
    (caption,) = captions
    assert caption[0].isupper() and caption.endswith(".") and "<unk>" not in caption


def test_an_opened_image_is_read_as_its_file_is(world, tmp_path: Path) -> None:
    """Upright, transparency on white, deep grey scaled: whatever hands the photo over."""
    name = world.dataset.split("test").ids[0]
    photo = Image.open(io.BytesIO(world.dataset.photos.read(name))).convert("RGB")
    clear = photo.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(photo.size))
    deep = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * np.uint16(257))
    turned = Image.Exif()
    turned[0x0112] = 6
    kinds = {
        "turned.jpg": (photo.resize((200, 90)), {"exif": turned}),
        "clear.png": (clear, {}),
        "key.png": (photo.convert("P"), {"transparency": 3}),
        "deep.png": (deep, {}),
        "press.tif": (photo.convert("CMYK"), {}),
        "grey.jpg": (photo.convert("L"), {}),
        "float.tif": (Image.fromarray(np.asarray(photo.convert("L")) / np.float32(255)), {}),
    }
    regions = regions_for(runs.load(world.run("plain")).preprocessing)
    for file, (image, options) in kinds.items():
        image.save(tmp_path / file, **options)
        with Image.open(tmp_path / file) as opened:
            (seen,) = prepared([(file, opened)], regions)
        (expected,) = prepared([(file, tmp_path / file)], regions)
        assert seen.size == expected.size, file
        assert torch.equal(seen.picture.pixels, expected.picture.pixels), file


def test_an_opened_image_that_is_cut_off_is_a_row_with_an_error(world, tmp_path: Path) -> None:
    name = world.dataset.split("test").ids[0]
    whole = Image.open(io.BytesIO(world.dataset.photos.read(name)))
    whole.convert("RGB").save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    opened = Image.open(io.BytesIO(data[: len(data) // 2]))
    rows = list(Pipeline(world.run("plain")).rows([opened, whole], ["cut", "whole"]))
    assert rows[0].error is not None and rows[0].error.startswith("cut: the file is cut off")
    assert rows[1].caption


def test_a_pipeline_of_nothing_is_refused(world) -> None:
    with pytest.raises(SettingsError, match="beam is at least 1, not 0"):
        miacap.load(world.run("plain"), beam=0)
    with pytest.raises(SettingsError, match="batch_size is at least 1, not 0"):
        miacap.load(world.run("plain"), batch_size=0)
    with pytest.raises(SettingsError, match="beam is at least 1, not 0"):
        captioning.evaluate(
            runs.load(world.run("plain")), world.dataset, "test", world.regions, beam=0
        )
    with pytest.raises(ValueError, match="is longer than"):
        list(Pipeline(world.run("plain")).rows([b"", b""], ["a"]))


def test_a_test_set_alone_is_scored_without_the_constant_caption(world) -> None:
    test = world.dataset.split("test")
    result = captioning.evaluate(
        runs.load(world.run("plain")), test, "test", world.regions, quiet=True
    )
    assert result.scores is not None
    assert list(result.controls) == ["its captions shuffled"]


def test_a_store_of_concepts_is_no_store_of_regions(world, tmp_path: Path) -> None:
    scores = ConceptFolder.open(world.root / "concepts").store
    message = "holds concepts, no regions; give the folder that `miacap features` filled"
    with pytest.raises(RunError, match=message):
        captioning.train(world.dataset, scores, tmp_path / "r", _settings("nic", "plain"))
    with pytest.raises(RunError, match=message):
        captioning.evaluate(runs.load(world.run("plain")), world.dataset, "test", scores)
    with pytest.raises(RunError, match=message):
        concepts.train(scores, world.dataset, tmp_path / "c", quiet=True)
    assert not (tmp_path / "r").exists() and not (tmp_path / "c").exists()


def test_a_broken_photo_is_a_row_with_an_error_and_the_rest_goes_on(world, tmp_path: Path) -> None:
    name = world.dataset.split("test").ids[0]
    good, cut, none = (tmp_path / n for n in ("good.png", "cut.jpg", "none.jpg"))
    good.write_bytes(world.dataset.photos.read(name))
    Image.open(good).save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    rows = list(Pipeline(world.run("combined"), batch_size=2).rows([cut, good, none]))
    assert [row.id for row in rows] == [str(cut), str(good), str(none)]
    assert rows[0].error is not None and rows[0].error.startswith(f"{cut}: ")
    assert rows[1].caption and rows[1].error is None
    assert rows[2].error == f"{none}: there is no such photo."
    with pytest.raises(PictureError, match="there is no such photo"):
        miacap.load(world.run("combined")).caption(none)


def test_the_pipeline_is_a_picklable_stage_over_columns(world) -> None:
    ids = world.dataset.split("test").ids[:2]
    stage = pickle.loads(pickle.dumps(Pipeline(world.run("plain"))))  # noqa: S301 - our own bytes
    columns = {"id": ids, "bytes": [world.dataset.photos.read(ids[0]), b"no photo"]}
    found = stage(columns)
    assert found["id"] == list(ids)
    assert found["caption"][0] and found["caption"][1] is None
    assert found["error"][0] is None and "not an image" in found["error"][1]


def test_a_stopped_training_ends_with_the_same_weights(world, tmp_path: Path) -> None:
    trained = ConceptFolder.open(world.root / "concepts")
    settings = _settings("spatial-attention", "combined")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    captioning.train(world.dataset, world.regions, whole, settings, concepts=trained, quiet=True)
    for stop in (3, 5, None):
        result = captioning.train(
            world.dataset,
            world.regions,
            parts,
            settings,
            concepts=trained,
            stop_after=stop,
            quiet=True,
        )
    assert result.finished
    a, b = (load_file(folder / "weights.safetensors") for folder in (whole, parts))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_folder_of_another_run_is_not_overwritten(world) -> None:
    with pytest.raises(RunError, match="holds a run with captioner = 'nic', not 'spatial"):
        captioning.train(
            world.dataset,
            world.regions,
            world.run("plain"),
            _settings("spatial-attention", "plain"),
            quiet=True,
        )


def test_a_source_that_reads_concepts_asks_for_them(world, tmp_path: Path) -> None:
    with pytest.raises(MiacapError, match="--concepts"):
        captioning.train(
            world.dataset,
            world.regions,
            tmp_path / "run",
            _settings("spatial-attention", "combined"),
            quiet=True,
        )
    assert not (tmp_path / "run").exists()


def test_an_unknown_size_is_named(world, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"'widht'. Did you mean 'width'\?"):
        captioning.train(
            world.dataset,
            world.regions,
            tmp_path / "run",
            replace(_settings("nic", "plain"), sizes={"widht": 3}),
            quiet=True,
        )
    assert not (tmp_path / "run").exists()


@pytest.fixture
def copy(world, tmp_path: Path) -> Path:
    target = tmp_path / "copy"
    shutil.copytree(world.run("combined"), target)
    return target


def test_a_copied_run_captions_too(world, copy: Path) -> None:
    photo = world.dataset.photos.read(world.dataset.ids[0])
    assert miacap.load(copy).caption(photo) == miacap.load(world.run("combined")).caption(photo)


def test_a_run_of_a_newer_format_is_refused(copy: Path) -> None:
    write_json(copy / "settings.json", read_json(copy / "settings.json") | {"format": 3})
    with pytest.raises(RunError, match=r"run format 3, but this miacap .* reads up to 2"):
        miacap.load(copy)


def test_a_run_made_for_another_backbone_is_refused(world, copy: Path) -> None:
    changed = read_json(copy / "preprocessing.json") | {"backbone": "efficientnet-lite2"}
    write_json(copy / "preprocessing.json", changed)
    with pytest.raises(RunError, match="made for another backbone: efficientnet-lite2"):
        captioning.evaluate(runs.load(copy), world.dataset, "test", world.regions, quiet=True)
    with pytest.raises(RunError):  # other weights than those it names
        miacap.load(copy).caption(world.dataset.photos.read(world.dataset.ids[0]))


@pytest.mark.parametrize("name", ["vocabulary.json", "preprocessing.json", "settings.json"])
def test_a_run_that_lacks_a_file_says_which(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(RunError, match=name.replace(".", r"\.")):
        miacap.load(copy)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("weights.safetensors", "copy: no weights yet; train it to the end of one epoch first"),
        ("extractor.safetensors", "the weights of the concept extractor are absent; copy them"),
    ],
)
def test_load_says_at_once_what_is_absent(copy: Path, name: str, message: str) -> None:
    (copy / name).unlink()
    with pytest.raises(RunError, match=message):
        miacap.load(copy)


def test_damaged_weights_are_named(world, copy: Path) -> None:
    path = copy / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"weights\.safetensors"):
        miacap.load(copy).caption(world.dataset.photos.read(world.dataset.ids[0]))
    path.unlink()
    with pytest.raises(RunError, match="no weights yet"):
        runs.load(copy).captioner()


def test_runs_are_listed(world) -> None:
    assert [p.name for p in runs.listing(world.root / "runs")] == ["combined", "plain"]


def test_evaluating_a_split_without_captions_only_captions_it(world) -> None:
    silent = replace(
        world.dataset,
        pictures=tuple(
            replace(e, captions=()) if e.split == "test" else e for e in world.dataset.pictures
        ),
    )
    result = captioning.evaluate(
        runs.load(world.run("plain")), silent, "test", world.regions, quiet=True
    )
    assert len(result.rows) == len(silent.split("test")) and result.scores is None


def test_a_run_goes_on_self_critically_from_the_command_line(world, tmp_path: Path) -> None:
    """What --from keeps and refuses, and that the new run captions a photo by itself."""
    given = ["train", world.root / "scenes", "--features", world.root / "features", "-q",
             "--from", world.run("combined"), "--concepts", world.root / "concepts"]  # fmt: skip
    sets = ["objective=self-critical", "objective.samples=2", "objective.rewards.BLEU-4=0.5",
            "training.epochs=1", "training.threads=1"]  # fmt: skip
    assigned = [part for pair in sets for part in ("--set", pair)]

    def miacap(*more: object):
        return CliRunner().invoke(app, [str(part) for part in (*given, *more)])

    done = miacap("-o", tmp_path / "further", *assigned)
    assert done.exit_code == 0, done.output
    assert "reward spread" in done.stdout
    run = runs.load(tmp_path / "further")
    assert run.settings.objective == runs.SelfCritical(
        samples=2, rewards={"CIDEr-D": 1.0, "BLEU-4": 0.5}
    )
    assert run.settings.training.learning_rate == 5e-5 and run.settings.training.epochs == 1
    assert run.settings.sizes == runs.load(world.run("combined")).settings.sizes
    photo = next((world.root / "scenes").rglob("*.png"))
    assert captioning.load(tmp_path / "further").caption(photo)
    shown = CliRunner().invoke(app, ["runs", str(tmp_path)]).stdout
    assert "further" in shown and "finished" in shown
    refused = miacap("-o", tmp_path / "other", "--captioner", "nic", *assigned)
    assert "trained with captioner='spatial-attention', not 'nic'" in str(refused.exception)
