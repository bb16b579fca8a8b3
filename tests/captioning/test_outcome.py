"""What came of a training is said once: dev.json, the card, and a doubt where there is one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from miacap import captioning, runs
from miacap.captioning.blind import named
from miacap.captioning.outcome import FILE, doubt
from miacap.captioning.words import Lengths, covered, lengths
from miacap.errors import DataError, RunError
from miacap.runs import RunSettings
from miacap.text import Vocabulary

from .conftest import settings


def go(world, folder: Path, wanted: RunSettings):
    return captioning.train(world.dataset, world.regions, folder, wanted, quiet=True)


def test_the_card_has_the_numbers_of_the_best_epoch(world) -> None:
    folder = world.run("plain")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    best = max(lines, key=lambda line: (line["CIDEr-D"], -line["epoch"]))
    told = json.loads((folder / FILE).read_text())
    assert told["best_epoch"] == best["epoch"]
    assert told["scores"]["CIDEr-D"] == best["CIDEr-D"]
    card = (folder / "README.md").read_text()
    assert f"Reached after epoch {best['epoch']}" in card
    assert f"| CIDEr-D | {best['CIDEr-D']:.4f} |" in card
    for name in ("a constant caption", "its captions shuffled"):
        interval = told["above"][name]
        assert interval["low"] <= interval["difference"] <= interval["high"]
        assert f"CIDEr-D is {abs(interval['difference']):.3f} " in card and named(name) in card


def test_a_card_that_somebody_edited_stays(world, tmp_path: Path) -> None:
    wanted = settings("nic", "plain")
    go(world, tmp_path / "r", wanted)
    card = tmp_path / "r" / "README.md"
    written = card.read_text()
    card.write_text(written + "\nMy own words.\n")
    assert go(world, tmp_path / "r", wanted).finished
    assert card.read_text().endswith("My own words.\n")
    (tmp_path / "r" / FILE).unlink()  # as a run of an older version has none
    go(world, tmp_path / "r", wanted)
    assert card.read_text().endswith("My own words.\n")
    card.unlink()  # killed between the two files, or wanted anew
    go(world, tmp_path / "r", wanted)
    assert card.read_text() == written


def test_who_has_not_learned_to_look_is_told_so(world, tmp_path: Path) -> None:
    assert doubt(tmp_path) is None  # no run, nothing to say
    few = world.run("plain")
    said = doubt(few)
    assert said is not None and "no better than one caption given to every photo" in said
    assert "training pictures are few: bring some thousand" in said
    told = json.loads((few / FILE).read_text())
    looks = {name: {"difference": 0.2, "low": 0.1, "high": 0.3} for name in told["above"]}
    (tmp_path / FILE).write_text(json.dumps({**told, "above": looks}))
    assert doubt(tmp_path) is None
    many = {**told, "training_pictures": 6000}
    (tmp_path / FILE).write_text(json.dumps(many))
    said = doubt(tmp_path)
    assert said is not None and "train for more epochs" in said
    for damaged in ({"step": "x"}, {"above": 3}, {"format": 2}, {"training_pictures": None}):
        (tmp_path / FILE).write_text(json.dumps({**told, **damaged}))
        with pytest.raises(RunError, match=r"to have it anew"):
            doubt(tmp_path)
    (tmp_path / FILE).write_text(json.dumps({**told, "above": {"a constant caption": 3}}))
    assert "no better than one caption given" in str(doubt(tmp_path))
    (tmp_path / FILE).write_text("[]")
    with pytest.raises(RunError, match=r"dev\.json: expected settings .* to have it anew"):
        doubt(tmp_path)


def test_captions_that_are_cut_are_counted_and_said(
    world, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lengths({"a": [[1, 2], [1, 2, 3]], "b": [[1, 2, 3, 4]]}, 2) == Lengths(3, 2, 4)
    assert Lengths(3, 0, 2).told(2) is None
    said = Lengths(30, 2, 9).told(8)
    assert said == (
        "2 of 30 training captions are longer than maximum_words=8 and were cut: the last "
        "words and the end were left out"
    )
    said = Lengths(3, 2, 9).told(8)
    assert said is not None and said.endswith("Set --set maximum_words=9")
    short = replace(settings("nic", "plain"), maximum_words=4)
    go(world, tmp_path / "r", short)
    err = capsys.readouterr().err
    assert "longer than maximum_words=4 and were cut" in err
    told = json.loads((tmp_path / "r" / FILE).read_text())
    assert told["cut_captions"] > 0.5 * told["training_captions"]
    assert "longer than maximum_words=4" in (tmp_path / "r" / "README.md").read_text()
    result = captioning.evaluate(
        runs.load(tmp_path / "r"), world.dataset, "dev", world.regions, controls=False, quiet=True
    )
    assert result.longer_references > 0


def test_without_concepts_both_ways_out_are_named(world, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        go(world, tmp_path / "r", settings("spatial-attention", "combined"))
    assert "--source plain" in str(caught.value) and "miacap concepts train" in str(caught.value)
    with pytest.raises(DataError) as caught:  # reads concepts even when plain
        go(world, tmp_path / "r", settings("att-cnn-lstm", "plain"))
    assert "--source plain" not in str(caught.value) and "--concepts" in str(caught.value)
    assert not (tmp_path / "r").exists()


def test_empty_captions_are_counted() -> None:
    rows = (captioning.Row("a", ""), captioning.Row("b", "A dog."), captioning.Row("c", error="x"))
    assert captioning.Evaluation(rows, 1.0).empty == 1


def test_a_vocabulary_that_is_too_small_to_speak_with_is_said() -> None:
    words = Vocabulary(["a", "dog"])
    assert covered({"x": [[4, 5], [4]]}, words) is None
    said = covered({"x": [[4, 3, 3], [3]]}, words)
    assert said is not None and said.startswith("the vocabulary has 2 words, only 25% of the words")
    assert "--set minimum_count=2" in said
    assert covered({}, words) is None
    # The words of a run that training begins with cannot be changed.
    begun = covered({"x": [[4, 3, 3], [3]]}, words, "runs/a")
    assert begun is not None and begun.endswith("captions; they are those of runs/a, and stay")
