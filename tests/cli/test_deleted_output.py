"""An output folder that is deleted while a command fills it: a sentence, and the command again."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from miacap.cli import application
from miacap.data import FeatureStore, scenes
from miacap.data.photos import FolderPhotos

TRAIN = ["--source", "plain", "-q"]
for setting in (
    "sizes.width=16",
    "minimum_count=1",
    "training.epochs=2",
    "training.warmup_steps=1",
):
    TRAIN += ["--set", setting]


@pytest.fixture(scope="module")
def scenery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 30 drawn scenes and their features."""
    root = tmp_path_factory.mktemp("scenery")
    scenes.draw(root / "scenes", 30, seed=0)
    assert command(["features", str(root / "scenes"), "-o", str(root / "features"), *LITE]) == 0
    return root


LITE = ["--backbone", "efficientnet-lite0", "--batch-size", "4", "-q"]


def command(arguments: list[str]) -> int:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(sys, "argv", ["miacap", *arguments])
        application.run()
    return int(end.value.code or 0)


def deleting(folder: Path, after: int, inner: Callable[..., Any]) -> Callable[..., Any]:
    """Call `inner`, and delete a folder before one of the calls."""
    calls = []

    def call(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == after:
            shutil.rmtree(folder)
        return inner(*args, **kwargs)

    return call


@pytest.mark.parametrize("after", [1, 20])
def test_features(
    scenery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], after: int
) -> None:
    output = tmp_path / "f"
    arguments = ["features", str(scenery / "scenes"), "-o", str(output), *LITE]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FolderPhotos, "read", deleting(output, after, FolderPhotos.read))
        assert command(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"miacap: {output}: was deleted or moved") and said.count("\n") == 1
    assert not output.exists()
    assert command(arguments) == 0
    again, whole = FeatureStore.open(output), FeatureStore.open(scenery / "features")
    assert again.names == whole.names
    assert all(again.rows(name).equal(whole.rows(name)) for name in whole.names)


@pytest.mark.parametrize(
    ("function", "after"),
    [
        ("miacap.training.checkpoints.write_tensors", 1),
        ("miacap.training.checkpoints.write_json", 2),
        ("miacap.training.evaluating.write_weights", 1),
        ("miacap.training.checkpoints.publish", 1),
        ("miacap.training.logs.settle", 2),
    ],
)
def test_train(
    scenery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], function: str, after: int
) -> None:
    output = tmp_path / "run"
    data = [str(scenery / "scenes"), "--features", str(scenery / "features")]
    arguments = ["train", *data, "-o", str(output), *TRAIN]
    module, _, name = function.rpartition(".")
    with pytest.MonkeyPatch.context() as patch:
        inner = getattr(sys.modules.get(module) or __import__(module, fromlist=[name]), name)
        patch.setattr(function, deleting(output, after, inner))
        assert command(arguments) == 1
    *_, said = capsys.readouterr().err.splitlines()
    assert said.startswith(f"miacap: {output}") and said.endswith(".")
    assert command(arguments) == 0
    assert (output / "weights.safetensors").is_file()
