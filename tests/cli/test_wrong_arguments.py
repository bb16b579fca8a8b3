"""Arguments in the wrong place, and things that are not there: said before any work."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from miacap.cli.application import app
from miacap.concepts import ConceptFolder
from miacap.data import scenes
from miacap.errors import DataError, RunError, SettingsError, UnknownName
from miacap.visual import Places, load


def refused(*arguments: object) -> str:
    """Give the sentence in which a command ends."""
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    assert isinstance(done.exception, DataError), (done.output, done.exception)
    return str(done.exception)


@pytest.mark.parametrize(
    ("verb", "more"),
    [
        ("features", ()),
        ("tune", ()),
        ("concepts detect", ("--detector", "torchvision:x")),
        ("concepts zero-shot", ("--model", "hf:x")),
    ],
)
def test_commands_that_look_at_photos_refuse_none(verb: str, more: tuple[str, ...]) -> None:
    said = refused(*verb.split(), "data", "-o", "x", "--photos", "none", *more)
    assert "--photos none reads captions alone, and this command looks at photos" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("features", "read", "nosuch", "data"),
        ("features", "data", "--regions", "detector:nosuch"),
        ("features", "data", "--regions", "grid+detector:nosuch"),
        ("concepts", "detect", "data", "--detector", "nosuch"),
        ("concepts", "read", "nosuch", "data"),
    ],
)
def test_what_is_not_there_is_named_before_data_is_read(arguments: tuple[str, ...]) -> None:
    # DATA is not there either, which would be said if it were read first.
    assert refused(*arguments, "-o", "x") == "nosuch: there is no such file or folder."


@pytest.mark.parametrize(
    "more",
    [("--backbone", "x"), ("--regions", "grid"), ("--boxes", "3"), ("--threshold", "0.5"),
     ("--set", "flips=true")],
)  # fmt: skip
def test_a_run_says_what_its_regions_are(more: tuple[str, str]) -> None:
    done = CliRunner().invoke(app, ["features", "d", "--run", "r", "-o", "x", *more])
    assert isinstance(done.exception, SettingsError)
    assert "--run says what regions are and which network looks" in str(done.exception)


def test_files_beside_features_are_asked_for_first(tmp_path: Path) -> None:
    (tmp_path / "f.npy").write_bytes(b"")
    for option in ("--ids", "--boxes", "--sizes"):
        said = refused("features", "read", tmp_path / "f.npy", "data", "-o", "x", option, "no")
        assert said == "no: there is no such file or folder."


def test_data_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = refused("concepts", "read", tmp_path, "lists.json", "-o", "x")
    assert said.endswith("DATA comes last: miacap concepts read FILE DATA -o FOLDER")
    monkeypatch.setattr(ConceptFolder, "open", lambda folder: folder)
    for verb, more in (("join", ("-o", "x")), ("compare", ())):
        said = refused("concepts", verb, "flickr8k", "one", "two", *more)
        assert said == (
            "two: holds concepts, and DATA, the captions, comes last: miacap concepts "
            f"{verb} FOLDER... DATA"
        )


def test_features_that_one_has_are_read_by_another_command() -> None:
    done = CliRunner().invoke(app, ["features", "bottom-up.tsv", "data", "-o", "f"])
    assert done.exit_code == 2 and "miacap features read FILE... DATA" in done.output


def test_kinds_of_backbones_are_named(tmp_path: Path) -> None:
    kinds = r"tuned:FOLDER, timm:NAME, torchvision:NAME, hf:FOLDER-OR-NAME\.$"
    with pytest.raises(UnknownName, match=rf"named 'resnet101'\..* {kinds}"):
        load("resnet101", "cpu")
    for kind, file in (("hf", "config.json"), ("tuned", "backbone.json")):
        folder = tmp_path / kind
        folder.mkdir()
        (folder / file).write_text("{}")
        with pytest.raises(UnknownName, match=rf"; for that folder write {kind}:{folder}\. Known"):
            load(str(folder), "cpu")


def test_a_folder_of_a_model_that_is_not_there() -> None:
    with pytest.raises(
        RunError, match=r"^There is no folder models/nosuch, and the model hf:models"
    ):
        load("hf:models/nosuch", "cpu", Places())


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("tuning.crop_size=192", "tuning.crop_size is for --from RUN; without it write --set "
         "crop_size=192."),
        ("tuning.rate=0.1", "tuning.rate is for --from RUN; without it write --set "
         "backbone_rate=0.1."),
        ("tuning.nothing=1", "tuning.nothing is for --from RUN."),
    ],
)  # fmt: skip
def test_settings_of_a_tuning_with_a_captioner_are_named_without_one(
    tmp_path: Path, assignment: str, said: str
) -> None:
    scenes.draw(tmp_path / "scenes", 10, seed=1, size=32)
    command = ["tune", str(tmp_path / "scenes"), "-o", str(tmp_path / "x"), "--set", assignment]
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, SettingsError), done.output
    assert str(done.exception) == f"--set {assignment}: {said}"
    assert not (tmp_path / "x").exists()
