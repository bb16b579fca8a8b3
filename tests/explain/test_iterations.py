"""Figure 5: what is drawn equals the runs' scores, kept or scored anew; METEOR, or why not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from miacap import captioning, runs
from miacap.cli.application import app
from miacap.errors import DataError, MissingExtra, RunError
from miacap.explain import figures
from miacap.metrics import score

SMALL = {"heads": 2, "inner": 12}
PANELS = ["CIDEr-D", "ROUGE-L", "METEOR", "BLEU-4"]


def finished(tiny: ModuleType, folder: Path, scores: dict[str, float], n: int) -> Path:
    tiny.run(folder, iterations=n, **SMALL)
    (folder / "dev.json").write_text(json.dumps({"scores": scores}))
    return folder


def test_iterations_draw_a_point_a_run_at_its_own_n(tiny: ModuleType, tmp_path: Path) -> None:
    numbers = {1: (0.9, 0.2), 3: (0.7, 0.25), 2: (1.1, 0.3)}
    folders = [
        finished(tiny, tmp_path / f"n{n}", {"CIDEr-D": c, "BLEU-4": b, "distinct": 9}, n)
        for n, (c, b) in numbers.items()
    ]
    drawn = figures.iterations(folders)
    panels = [axes for axes in drawn.figure.axes if axes.lines]
    assert [axes.get_title() for axes in panels] == ["CIDEr-D", "BLEU-4"]
    (note,) = drawn.notes  # trainings keep no METEOR: in its place stands what to do
    assert "--data DATA --features FOLDER" in note
    assert " ".join(drawn.figure.axes[1].texts[0].get_text().split()) == note
    for axes, which in zip(panels, (0, 1), strict=True):
        (line,) = axes.lines
        assert list(line.get_xdata()) == [1, 2, 3]
        wanted = [100 * numbers[n][which] for n in (1, 2, 3)]
        assert list(line.get_ydata()) == pytest.approx(wanted)
        assert line.get_label() == "spatial-attention, combined"
    assert [row[1:] for row in drawn.rows][1] == ["n2", "2", "110.0", "30.0"]
    with pytest.raises(RunError, match="different N"):
        figures.iterations(folders[:1])
    again = finished(tiny, tmp_path / "again", {"CIDEr-D": 1.0, "BLEU-4": 0.1}, 2)
    with pytest.raises(RunError, match="again and n2 are both"):
        figures.iterations([*folders, again])
    (again / "dev.json").unlink()
    with pytest.raises(RunError, match="not finished"):
        figures.iterations([folders[0], again])
    plain = tiny.run(tmp_path / "p", "spatial-attention", "plain")
    with pytest.raises(RunError, match="refines nothing"):
        figures.iterations([folders[0], plain])


def test_two_runs_of_one_folder_name_are_told_apart(tiny: ModuleType, tmp_path: Path) -> None:
    folders = []
    for n in (1, 2):
        (tmp_path / f"n{n}").mkdir()
        folders.append(finished(tiny, tmp_path / f"n{n}" / "run", {"CIDEr-D": n}, n))
    drawn = figures.iterations([*folders, folders[0]])  # given twice, it is one run
    assert [row[1:3] for row in drawn.rows] == [["n1/run", "1"], ["n2/run", "2"]]
    (tmp_path / "again").mkdir()
    again = finished(tiny, tmp_path / "again" / "run", {"CIDEr-D": 1.0}, 2)
    with pytest.raises(RunError, match="again/run and n2/run are both"):
        figures.iterations([*folders, again])


def two_runs(tiny: ModuleType, root: Path) -> list[Path]:
    return [finished(tiny, root / f"n{n}", {"CIDEr-D": n, "ROUGE-L": n / 9}, n) for n in (2, 1)]


def titles(drawn: Any) -> list[str]:
    return [axes.get_title() for axes in drawn.figure.axes if axes.get_title()]


def test_captions_scored_anew_have_meteor_in_the_papers_place(
    tiny: ModuleType, tmp_path: Path
) -> None:
    pytest.importorskip("pycocoevalcap", reason="needs the extra [meteor]")
    pytest.importorskip("snowballstemmer", reason="needs the extra [meteor]")
    folders = two_runs(tiny, tmp_path)
    data, store = tiny.data(tmp_path)
    rescored = figures.rescore(folders, data, "dev", store, device="cpu", quiet=True)
    drawn = figures.iterations(folders, rescored)
    assert titles(drawn) == PANELS and drawn.notes == []
    wanted = {}
    for n, folder in ((1, folders[1]), (2, folders[0])):
        rows = captioning.evaluate(
            runs.load(folder), data, "dev", store, controls=False, device="cpu", quiet=True
        ).rows
        said = {row.id: row.caption or "" for row in rows}
        wanted[n] = score(dict(data.captions), said, metrics=PANELS)
    for axes in drawn.figure.axes:
        (line,) = axes.lines
        numbers = [100 * wanted[n][axes.get_title()] for n in (1, 2)]
        assert list(line.get_ydata()) == pytest.approx(numbers)
    assert 100 * wanted[1]["METEOR"] > 1
    assert "scores of the captions of dev" in drawn.says
    with pytest.raises(DataError, match="test"):
        figures.rescore(folders, data, "test", store, device="cpu", quiet=True)


def test_without_the_extra_the_figure_says_that_meteor_is_left_out(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from miacap.metrics import families

    families.meteor_scorer.cache_clear()
    monkeypatch.setitem(sys.modules, "snowballstemmer.english_stemmer", None)
    from miacap.metrics.meteor.lexicon import stemmer

    stemmer.cache_clear()
    folders = two_runs(tiny, tmp_path)
    data, store = tiny.data(tmp_path)
    try:
        rescored = figures.rescore(folders, data, "dev", store, device="cpu", quiet=True)
    finally:
        stemmer.cache_clear()
        families.meteor_scorer.cache_clear()
    drawn = figures.iterations(folders, rescored)
    (note,) = drawn.notes
    assert note.startswith("METEOR is left out") and "pip install 'miacap[meteor]'" in note
    assert titles(drawn) == PANELS
    place = drawn.figure.axes[2]
    assert not place.lines and " ".join(place.texts[0].get_text().split()) == note
    figures.save(drawn, tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "pip install" in text.partition("figcaption")[2]


def test_other_faults_than_a_missing_extra_are_no_reason_to_leave_meteor_out(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(quiet: bool) -> None:
        raise DataError("tables cannot be read")

    monkeypatch.setattr("miacap.explain.figures.gathering.meteor_scorer", broken)
    data, store = tiny.data(tmp_path)
    with pytest.raises(DataError, match="tables cannot be read"):
        figures.rescore(two_runs(tiny, tmp_path), data, "dev", store, device="cpu", quiet=True)


def test_the_command_scores_anew_and_says_what_it_left_out(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(quiet: bool) -> None:
        raise MissingExtra("meteor", "METEOR")

    monkeypatch.setattr("miacap.explain.figures.gathering.meteor_scorer", missing)
    folders = two_runs(tiny, tmp_path)
    data, _ = tiny.data(tmp_path)
    rows = [{"file_name": id, "captions": texts, "split": "dev"}
            for id, texts in data.captions.items()]  # fmt: skip
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "out"
    out.mkdir()

    def invoke(*more: object) -> Any:
        arguments = ["figure", "iterations", *folders, "-o", out / "i.svg", *more]
        return CliRunner().invoke(app, list(map(str, arguments)))

    kept = invoke()
    assert kept.exit_code == 0 and "a training does not keep it" in kept.stderr
    anew = invoke("--data", tmp_path / "metadata.jsonl", "--features", tmp_path / "f",
                  "--device", "cpu", "--quiet")  # fmt: skip
    assert anew.exit_code == 0 and "pip install 'miacap[meteor]'" in anew.stderr
    assert "METEOR is left out" in (out / "i.svg").read_text(encoding="utf-8")
    for half in (["--data", tmp_path], ["--features", tmp_path / "f"], ["--split", "test"]):
        assert invoke(*half).exit_code == 2


def test_an_installed_captioner_is_taken_by_its_name(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two_runs(tiny, tmp_path)
    mine = SimpleNamespace(name="mine", folder=first, package="mine")
    monkeypatch.setattr("miacap.runs.pretrained.installed", lambda: [mine])
    out = tmp_path / "i.svg"
    arguments = ["figure", "iterations", "mine", str(second), "-o", str(out)]
    found = CliRunner().invoke(app, arguments)
    assert (found.exit_code, found.exception) == (0, None) and out.is_file()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="a home folder that is not there")
def test_a_home_that_cannot_be_written_is_no_trouble_of_a_figure(
    tiny: ModuleType, tmp_path: Path
) -> None:
    folders = [str(folder) for folder in two_runs(tiny, tmp_path)]
    command = [sys.executable, "-m", "miacap", "figure", "iterations", *folders, "-o"]
    places = {"HOME": str(tmp_path / "n1" / "settings.json"), "XDG_CONFIG_HOME": "", "DISPLAY": ""}
    places |= {"MPLCONFIGDIR": "", "XDG_CACHE_HOME": ""}
    done = subprocess.run(
        [*command, str(tmp_path / "i.png")],
        env={**os.environ, **places}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "atplotlib" not in done.stderr and (tmp_path / "i.png").is_file()
