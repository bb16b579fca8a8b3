"""`miacap reproduce`, and ensembles on the command line."""

import json
import re
from pathlib import Path

from typer.testing import CliRunner

from miacap import captioning, experiments, runs
from miacap.cli.application import app
from miacap.data import read, scenes
from miacap.experiments import recipes

TINY = (
    "minimum_count=1", "maximum_words=6", "sizes.width=8", "sizes.heads=2", "sizes.inner=12",
    "sizes.rows=aligned", "concepts=2", "beam=1", "training.epochs=1", "training.threads=1",
)  # fmt: skip


def miacap(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_without_a_name_all_are_listed_with_their_rows() -> None:
    lines = miacap("reproduce").stdout.splitlines()
    assert max(len(line) for line in lines) <= 80 and "\t" not in "".join(lines)
    said: dict[str, str] = {}
    for line in lines:
        if line.startswith(" "):  # what is said of a recipe goes on
            name, more = list(said)[-1], line.strip()
            said[name] += f" {more}"
        else:
            name, told = line.split(maxsplit=1)
            said[name] = told
    assert tuple(said) == recipes.names()
    assert said["lstm-a5-concepts"] == "Table 3, w/ T*; Table 6, w/ T*"
    assert said["nic-n0"] == "control: N = 0, LayerNorm(I_0 + T_0)"
    assert said["up-down-rcnn-combined-self-critical"] == "Table 4, w/ MIA"


def test_without_data_the_settings_are_shown() -> None:
    done = miacap("reproduce", "att-fcn-plain", "--small")
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert "CIDEr-D 0.956†" in done.stdout and "BLEU-4 0.304," in done.stdout
    shown = json.loads(done.stdout[done.stdout.index("{") :])
    assert shown["captioner"] == "att-fcn" and shown["sizes"]["width"] == 256
    done = miacap("reproduce", "att-fcn-plain", "--set", "objective.regulariser=0.001")
    assert json.loads(done.stdout[done.stdout.index("{") :])["objective"]["regulariser"] == 0.001


def test_usage(drawn) -> None:
    root, *_ = drawn
    done = miacap("reproduce", "nic-plain", root / "scenes")
    assert done.exit_code == 2 and "training needs --features" in done.stderr
    done = miacap("reproduce", "nik-plain")
    assert "No recipe named 'nik-plain'. Did you mean 'nic-plain'?" in str(done.exception)
    said = str(miacap("reproduce", "nicplain").exception)
    assert "Did you mean 'nic-plain'? Known: nic, " in said and len(said) < 400
    said = str(miacap("reproduce", "nic-plian").exception)
    assert "Did you mean 'nic-plain'? Known: nic-plain, nic-regions, " in said


def test_a_recipe_is_trained_by_name(drawn, tmp_path: Path) -> None:
    root, *_ = drawn
    run = tmp_path / "run"
    done = miacap(
        "reproduce", "nic-swapped-concepts", root / "scenes", "--features", root / "f",
        "--concepts", root / "c-pooled", "-o", run, "--small", "-q",
        *(part for pair in TINY for part in ("--set", pair)),
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert max(len(line) for line in done.stdout.splitlines()[1:]) <= 80
    first, best, own, swapped = done.stdout.replace("\n    ", " ").splitlines()
    assert first.startswith(f"{run}: nic-swapped-concepts, ")
    assert best.startswith("best on dev: BLEU-4") and re.search(r"distinct \d+,", best)
    assert own.startswith("its own concepts: BLEU-1")
    assert swapped.startswith("another picture's concepts: BLEU-1")
    assert (
        "CIDEr-D" in json.loads((run / "recipe.json").read_text())["readings"]["its own concepts"]
    )


def test_runs_are_averaged_by_evaluate_and_caption(drawn, tmp_path: Path) -> None:
    root, dataset, regions = drawn
    folders = []
    for seed in (1, 2):
        folders.append(tmp_path / f"run-{seed}")
        done = miacap(
            "reproduce", "spatial-attention-plain", root / "scenes", "--features", root / "f",
            "-o", folders[-1], "--small", "-q", "--seed", seed,
            *(part for pair in TINY if "concepts" not in pair for part in ("--set", pair)),
        )  # fmt: skip
        assert done.exit_code == 0, done.output
    saved = tmp_path / "rows.jsonl"
    done = miacap(
        "evaluate", folders[0], root / "scenes", "--with", folders[1], "--features", root / "f",
        "--split", "test", "-q", "-o", saved,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in saved.read_text().splitlines()]
    joined = runs.join([runs.load(folder) for folder in folders])
    wanted = captioning.evaluate(joined, dataset, "test", regions, controls=False, quiet=True)
    assert [row["log_probability"] for row in rows] == [r.log_probability for r in wanted.rows]
    alone = captioning.evaluate(
        runs.load(folders[0]), dataset, "test", regions, controls=False, quiet=True
    )
    assert [row["log_probability"] for row in rows] != [r.log_probability for r in alone.rows]
    photo = tmp_path / "photo.png"
    photo.write_bytes(dataset.photos.read(rows[0]["id"]))
    done = miacap("caption", photo, "--run", folders[0], "--run", folders[1], "--format", "jsonl")
    found = json.loads(done.stdout)
    assert found["caption"] == rows[0]["caption"]
    assert abs(found["log_probability"] - rows[0]["log_probability"]) < 1e-3


def test_runs_without_any_says_where_else_to_look(tmp_path: Path) -> None:
    assert "no run folders here; look in another folder with: miacap runs FOLDER" in str(
        miacap("runs", tmp_path).exception
    )


def test_demo_ends_with_a_line_to_paste(tmp_path: Path, monkeypatch) -> None:
    scenes.draw(tmp_path / "scenes", 20)
    monkeypatch.setattr(experiments, "demo", lambda *_, **__: "the table")
    *_, last = miacap("demo", "-o", tmp_path).stdout.splitlines()
    photo = Path(last.removeprefix("try: miacap caption ").partition(" --run ")[0])
    assert photo.is_file() and photo.name in read(tmp_path / "scenes").split("test").ids
