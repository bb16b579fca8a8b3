"""The whole way on real COCO photos, through COCO's own files: every step, with small settings.

train2014 and restval to train, val to choose, test to score: 455, 52 and 76 photos are too few to
learn well, and enough to prove every step of docs/coco.md.
"""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from miacap import runs
from miacap.cli import application
from miacap.data import read

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

TRAINED = "training.epochs=2", "training.threads=1", "training.warmup_steps=10"


@pytest.fixture(scope="module")
def coco(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """COCO's folders, of links: annotations/, train2014/, val2014/, Karpathy's lists."""
    folder, photos = tmp_path_factory.mktemp("coco"), shared / "coco" / "photos"
    (folder / "annotations").mkdir()
    links = {
        "train2014": photos / "train2014",
        "val2014": photos / "val2014",
        "annotations/captions_val2014.json.gz": shared / "coco/captions_val2014.slim.json.gz",
        "annotations/captions_train2014.json": photos / "captions_train2014.subset.json",
    }
    for split in ("restval", "val", "test"):
        links[f"karpathy_{split}.txt"] = shared / "coco" / f"karpathy_{split}.txt"
    for name, target in links.items():
        (folder / name).symlink_to(target)
    return folder


def miacap(*words: object) -> str:
    done = CliRunner().invoke(application.app, [str(word) for word in words])
    assert done.exit_code == 0, f"{words}: {done.output} {done.exception!r}"
    return done.stdout


def sets(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def test_cocos_own_files_go_the_whole_way(coco: Path, tmp_path: Path) -> None:
    features, concepts, run = tmp_path / "features", tmp_path / "concepts", tmp_path / "run"
    out = miacap("features", coco, "-o", features, "--backbone", "efficientnet-lite0", "-q")
    assert out.startswith("583 photos, regions of 1280 numbers")
    miacap("concepts", "train", coco, "--features", features, "-o", concepts, "-q",
           *sets("words=200", "folds=2", *TRAINED))  # fmt: skip
    miacap("train", coco, "--features", features, "--concepts", concepts, "-o", run, "-q",
           "--captioner", "spatial-attention", "--source", "combined",
           *sets("sizes.width=64", "sizes.heads=4", "sizes.inner=128",
                 "pictures_per_batch=4", *TRAINED))  # fmt: skip
    scores, captions = tmp_path / "scores.json", tmp_path / "captions.jsonl"
    frequencies = coco / "annotations" / "captions_val2014.json.gz"
    miacap("evaluate", run, coco, "--features", features, "--split", "test", "-q",
           "--df", frequencies, "--json", scores, "-o", captions)  # fmt: skip
    found = json.loads(scores.read_text())
    assert found["photos"] == 76 and found["set_aside"] == 0 and found["leaks"] == []
    assert "df:captions_val2014.json.gz/40504" in found["signature"]
    assert 0 < found["CIDEr-D"] < 1.5
    # What was scored is Karpathy's test split, and nothing of it was learned from.
    test = {line.strip() for line in (coco / "karpathy_test.txt").read_text().splitlines()}
    rows = [json.loads(line)["id"] for line in captions.read_text().splitlines()]
    assert len(rows) == 76 and set(rows) <= test
    trained = read(coco).split("train")
    assert len(trained) == 455 and not test & set(trained.ids)
    kept = {row["name"] for row in runs.folder.read_sources(run)}
    assert kept == {
        "captions_train2014.json", "captions_val2014.json.gz",
        "karpathy_restval.txt", "karpathy_test.txt", "karpathy_val.txt",
    }  # fmt: skip
    lines = (run / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss per word"] for line in lines]
    assert losses[1] < losses[0]
    # A photo is captioned as its stored features were.
    said = json.loads(captions.read_text().splitlines()[0])
    photo = coco / "val2014" / f"COCO_val2014_{int(said['id']):012d}.jpg"
    assert miacap("caption", photo, "--run", run).strip() == said["caption"]
