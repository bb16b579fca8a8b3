"""`miacap score` and `miacap judge`, from arguments to files."""

import csv
import json
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import typer
from typer.testing import CliRunner

from miacap.cli.judge import judge
from miacap.cli.score import score
from miacap.errors import DataError, UnknownName
from miacap.metrics.comparisons import Comparison, Interval, Permuted, Range
from miacap.metrics.reports import System, comparison, systems_table

app = typer.Typer()
app.command()(score)
app.command()(judge)

REFERENCES = {
    "a": ["A dog runs on grass.", "The dog is running."],
    "b": ["Two men ride horses.", "Men on horses."],
    "c": ["A red bus.", "The bus is red."],
}
WORSE = {"a": "a dog", "b": "horses in a", "c": "a cat"}
BETTER = {"a": "a dog runs on the grass", "b": "two men on horses", "c": "a red bus"}


def run(*arguments: object) -> Any:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for name, content in (("references", REFERENCES), ("worse", WORSE), ("better", BETTER)):
        found[name] = tmp_path / f"{name}.json"
        found[name].write_text(json.dumps(content), encoding="utf-8")
    return found


def lexical(*arguments: object) -> Any:
    few = [x for name in ("BLEU-1", "ROUGE-L", "CIDEr-D") for x in ("-m", name)]
    return run("score", *arguments, *few)


def test_a_table_with_intervals_scale_and_signature(paths: dict[str, Path]) -> None:
    result = lexical(paths["references"], paths["better"])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["metric", "score", "95", "%", "interval"]
    assert [line.split()[0] for line in lines[1:4]] == ["BLEU-1", "ROUGE-L", "CIDEr-D"]
    assert "[" in lines[1]
    assert lines[4] == "scale: 0 to 1; CIDEr-D 0 to 10"
    assert lines[5].startswith("signature: BLEU[") and "pictures:3|refs:2" in lines[5]
    assert "warning: CIDEr-D's word frequencies come from 3 pictures only" in result.stderr
    assert "warning" not in result.stdout
    quiet = lexical(paths["references"], paths["better"], "--quiet", "--resamples", 0)
    assert quiet.stderr == "" and "interval" not in quiet.stdout


def test_percent_is_said(paths: dict[str, Path]) -> None:
    plain = lexical(paths["references"], paths["better"]).stdout.splitlines()
    percent = lexical(paths["references"], paths["better"], "--percent").stdout.splitlines()
    assert "scale: times 100" in percent
    value, hundredfold = float(plain[2].split()[1]), float(percent[2].split()[1])
    assert hundredfold == pytest.approx(100 * value, abs=0.06)


def test_files_hold_the_official_scale(paths: dict[str, Path], tmp_path: Path) -> None:
    out = {name: tmp_path / name for name in ("s.json", "s.csv", "p.jsonl")}
    lexical(
        *(paths["references"], paths["better"], "--percent", "--json", out["s.json"]),
        *("--csv", out["s.csv"], "--per-picture", out["p.jsonl"]),
    )
    scores = json.loads(out["s.json"].read_text())
    assert 0 < scores["ROUGE-L"] <= 1 and "tok:ptb" in scores["signature"]
    rows = [json.loads(line) for line in out["p.jsonl"].read_text().splitlines()]
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert set(rows[0]) == {"id", "BLEU-1", "ROUGE-L", "CIDEr-D"}
    assert sum(row["CIDEr-D"] for row in rows) / 3 == pytest.approx(scores["CIDEr-D"])
    table = list(csv.DictReader(out["s.csv"].read_text().splitlines()))
    assert float(table[1]["score"]) == scores["ROUGE-L"]
    assert table[1]["signature"].startswith("ROUGE-L[")


@pytest.mark.parametrize("form", ["coco", "lines", "csv"])
def test_every_form_of_file_gives_the_same(
    form: str, paths: dict[str, Path], tmp_path: Path
) -> None:
    captions = [(name, caption) for name, some in REFERENCES.items() for caption in some]
    files = []
    for side, rows in (("r", captions), ("c", list(BETTER.items()))):
        objects = [{"image_id": name, "caption": caption} for name, caption in rows]
        lines = [f'{name},"{caption}"' for name, caption in rows]
        whole: object = {"images": [{"id": n} for n in REFERENCES], "annotations": objects}
        text = {
            "coco": json.dumps(whole if side == "r" else objects),
            "lines": "\n".join(json.dumps(row) for row in objects),
            "csv": "\n".join(["image_id,caption", *lines]),
        }[form]
        files.append(tmp_path / f"{side}.{form}")
        files[-1].write_text(text, encoding="utf-8")
    outs = [tmp_path / "one.json", tmp_path / "two.json"]
    lexical(paths["references"], paths["better"], "--json", outs[0])
    lexical(*files, "--json", outs[1])
    assert outs[0].read_text() == outs[1].read_text()


def test_two_systems(paths: dict[str, Path]) -> None:
    result = lexical(paths["references"], paths["better"], "--against", paths["worse"])
    row = next(
        line for line in result.stdout.splitlines() if line.startswith("BLEU-1 ") and "+" in line
    )
    assert float(row.split()[1]) > 0


@pytest.fixture
def third(tmp_path: Path) -> Path:
    path = tmp_path / "third.json"
    path.write_text(json.dumps({**BETTER, "c": "", "b": BETTER["b"]}))
    return path


def test_a_system_of_a_long_name_stands_above_its_numbers() -> None:
    ranges = {"CIDEr-D": Range(0.75, 0.25, 1.25)}
    scores: Any = MagicMock(skipped={}, signature="s")
    scores.__iter__ = lambda _: iter(["CIDEr-D"])
    scores.__getitem__ = lambda *_: 0.75
    systems = [System(name, scores, ranges) for name in ("s" * 29, "t" * 30)]
    told = systems_table(systems).splitlines()
    assert told[:4] == [
        f"{'metric':<18}{'system':<31}    score         95 % interval",
        f"{'CIDEr-D':<18}{'s' * 29}     0.7500      [0.2500, 1.2500]",
        f"{'':<18}{'t' * 30}",
        f"{'':<49}   0.7500      [0.2500, 1.2500]",
    ]
    assert max(map(len, told)) == 80


def test_three_systems_in_table_and_files(
    paths: dict[str, Path], third: Path, tmp_path: Path
) -> None:
    out = {name: tmp_path / name for name in ("s.json", "s.csv", "p.jsonl")}
    result = lexical(
        *(paths["references"], paths["better"], "--against", paths["worse"], "--against", third),
        *("--json", out["s.json"], "--csv", out["s.csv"], "--per-picture", out["p.jsonl"]),
    )
    lines = result.stdout.splitlines()
    assert lines[0].split()[:3] == ["metric", "system", "score"]
    assert [line.split()[-4] for line in lines[4:7]] == ["better.json", "worse.json", "third.json"]
    assert lines[4].startswith("ROUGE-L") and lines[5].startswith(" ")
    assert "better.json - worse.json" in lines and "better.json - third.json" in lines
    # A warning that all share is said once and bare, one of a system with its file.
    assert result.stderr.count("2 references a picture") == 1
    assert f"warning: {third}: 1 of 3 candidates is empty; it scores 0." in result.stderr

    content = json.loads(out["s.json"].read_text())
    assert set(content["systems"]) == {"better.json", "worse.json", "third.json"}
    assert content["ROUGE-L"] == content["systems"]["better.json"]["ROUGE-L"]
    difference = content["differences"]["better.json - third.json"]["ROUGE-L"]
    first, other = (content["systems"][f"{name}.json"]["ROUGE-L"] for name in ("better", "third"))
    assert difference["difference"] == pytest.approx(first - other)
    assert difference["low"] <= difference["difference"] <= difference["high"]
    assert 0 < difference["p bootstrap"] <= 1 and 0 < difference["p permutation"] <= 1

    rows = list(csv.DictReader(out["s.csv"].read_text().splitlines()))
    assert [row["system"] for row in rows[::3]] == ["better.json", "worse.json", "third.json"]
    assert rows[0]["difference"] == "" and rows[7]["metric"] == "ROUGE-L"
    assert float(rows[7]["difference"]) == difference["difference"]
    assert float(rows[7]["p bootstrap"]) == difference["p bootstrap"]
    assert float(rows[7]["p permutation"]) == difference["p permutation"]
    pictures = [json.loads(line) for line in out["p.jsonl"].read_text().splitlines()]
    assert [(row["system"], row["id"]) for row in pictures[2:4]] == [
        ("better.json", "c"),
        ("worse.json", "a"),
    ]


def test_nothing_is_computed_where_a_system_does_not_fit(
    paths: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("computed before everything was read and paired")

    monkeypatch.setattr("miacap.metrics.families.compute", never)
    other = tmp_path / "other.json"
    both = (paths["references"], paths["better"], "--against", paths["worse"], "--against", other)
    with pytest.raises(DataError, match=r"other\.json"):
        lexical(*both)
    for text, message in (
        ('{"a": "a dog"}', "References and candidates do not fit"),
        ('[{"id": "a", "caption": "x"}, {"id": "a", "caption": "y"}]', "more than one candidate"),
    ):
        other.write_text(text)
        with pytest.raises(DataError, match=rf"other\.json: .*{message}"):
            lexical(*both)
    other.write_text('{"a": "a dog"}')
    with pytest.raises(DataError, match=r"other\.json: other pictures than in .*better\.json"):
        lexical(*both, "--allow-missing")
    missing = tmp_path / "no folder" / "s.json"
    for option in ("--json", "--csv", "--per-picture", "--write-df"):
        with pytest.raises(DataError, match="there is no folder"):
            lexical(paths["references"], paths["better"], option, missing)
    assert not missing.parent.exists()
    with pytest.raises(UnknownName, match="BLEU-4"):
        run("score", paths["references"], paths["better"], "-m", "BLEU-44")
    twice = lexical(paths["references"], paths["better"], "--against", paths["better"])
    assert twice.exit_code == 2 and "given twice" in twice.stderr
    tuples = ("--spice-tuples", paths["worse"])
    refused = lexical(paths["references"], paths["better"], "--against", paths["worse"], *tuples)
    assert refused.exit_code == 2 and "of one system" in refused.stderr.replace("\n", " ")


def test_files_of_one_name_are_told_apart_by_their_folders(
    paths: dict[str, Path], tmp_path: Path
) -> None:
    copy = tmp_path / "copy" / paths["better"].name
    copy.parent.mkdir()
    copy.write_text(json.dumps(WORSE))
    out = tmp_path / "s.json"
    lexical(paths["references"], paths["better"], "--against", copy, "--json", out)
    assert set(json.loads(out.read_text())["systems"]) == {str(paths["better"]), str(copy)}


def test_small_numbers_and_differences_print_as_zero(paths: dict[str, Path]) -> None:
    result = run(
        *("score", paths["references"], paths["worse"], "--against", paths["better"]),
        *("-m", "bleu_4"),
    )
    table = [line for line in result.stdout.splitlines() if line.startswith(("BLEU", " "))]
    assert len(table) == 3 and "0.0000" in table[0] and "e-" not in "".join(table)
    nothing = Interval(-1e-9, -1e-8, 1e-9, 1.0)
    text = comparison(Comparison({"SPICE": nothing}, {"SPICE": Permuted(-1e-9, 1.0)}))
    assert "+0.0000    [+0.0000, +0.0000]" in text and "-0" not in text


def test_captions_described(paths: dict[str, Path]) -> None:
    out = lexical(paths["references"], paths["worse"], "--training", paths["better"]).stdout
    rows = {line[:18].strip(): line[18:].strip() for line in out.splitlines()}
    assert rows["bad endings"] == "0.3333" and rows["novel"] == "1.0000"
    assert rows["captions"] == "3"


def test_one_picture_is_rescued_by_frequencies(paths: dict[str, Path], tmp_path: Path) -> None:
    df = tmp_path / "df.json"
    everything = tmp_path / "all.json"
    lexical(paths["references"], paths["better"], "--write-df", df, "--json", everything)
    alone = {name: tmp_path / f"{name}1.json" for name in ("references", "candidates")}
    alone["references"].write_text(json.dumps({"b": REFERENCES["b"]}))
    alone["candidates"].write_text(json.dumps({"b": BETTER["b"]}))
    bare = lexical(*alone.values())
    assert "one picture: CIDEr-D" in bare.stderr and "--df FILE" in bare.stderr
    out = tmp_path / "one.json"
    lexical(*alone.values(), "--df", df, "--json", out)
    scores = json.loads(out.read_text())
    assert scores["CIDEr-D"] > 0
    assert "df:references.json/3]" in scores["signature"]
    # Captions are counted where a file holds them and no frequencies.
    lexical(*alone.values(), "--df", paths["references"], "--json", tmp_path / "counted.json")
    assert json.loads((tmp_path / "counted.json").read_text()) == scores


def test_ids_that_do_not_fit(paths: dict[str, Path], tmp_path: Path) -> None:
    less = tmp_path / "less.json"
    less.write_text(json.dumps({"a": "a dog", "z": "x"}))
    with pytest.raises(DataError, match="2 pictures without a candidate: b, c; 1 picture with a"):
        lexical(paths["references"], less)
    result = lexical(paths["references"], less, "--allow-missing")
    assert result.exit_code == 0
    assert "warning: left out: 2 pictures without a candidate: b, c" in result.stderr


def test_lines_without_ids_are_named_where_they_do_not_fit(
    paths: dict[str, Path], tmp_path: Path
) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("a dog runs\na cat sleeps\n")
    with pytest.raises(DataError, match=r"lines\.txt has no ids; its lines were numbered 1, 2, \."):
        lexical(paths["references"], lines)


def test_tuples_of_another_parser(paths: dict[str, Path], tmp_path: Path) -> None:
    dog = [["dog"], ["dog", "brown"]]
    images = [{"image_id": n, "test": dog, "refs": [[["dog"]], dog]} for n in "cab"]
    tuples = tmp_path / "tuples.json"
    tuples.write_text(json.dumps({"parser": "by-hand", "images": images}))
    out = tmp_path / "s.json"
    run(
        *("score", paths["references"], paths["better"], "-m", "SPICE"),
        *("--spice-tuples", tuples, "--json", out),
    )
    scores = json.loads(out.read_text())
    assert scores["SPICE"] == 1 and "parser:by-hand" in scores["signature"]
    assert scores["SPICE categories"]["Relation"] is None
    table = run(
        *("score", paths["references"], paths["better"], "-m", "SPICE"),
        *("--spice-tuples", tuples),
    )
    assert set(scores["SPICE categories"]) == {
        *("Object", "Attribute", "Relation", "Color", "Cardinality", "Size")
    }
    rows = [line.split()[0] for line in table.stdout.splitlines()]
    assert "Count" in rows and "Cardinality" not in rows  # as papers call it, in tables alone
    tuples.write_text(json.dumps(images[:1]))
    with pytest.raises(DataError, match=r"2 pictures have no tuples for SPICE: a, b\."):
        run("score", paths["references"], paths["better"], "-m", "SPICE", "--spice-tuples", tuples)


def test_judge(paths: dict[str, Path], tmp_path: Path) -> None:
    table = tmp_path / "judged.csv"
    table.write_text(
        "picture,caption,ratings\na,a dog runs,4 4 3\na,a red bus,1 1 1\n"
        "b,men on horses,3 4 4\nb,A red bus.,1 2 1\nc,The bus is red.,4 4 4\n"
    )
    out = tmp_path / "taus.json"
    result = run(
        *("judge", table, "--references", paths["references"], "--json", out),
        *("-m", "ROUGE-L", "-m", "CIDEr-D"),
    )
    assert result.exit_code == 0
    assert "protocol: flat; 4 pairs (1 of a picture's own captions dropped), 12 observations" in (
        result.stdout
    )
    taus = json.loads(out.read_text())
    assert set(taus) == {"ROUGE-L", "CIDEr-D"}
    assert set(taus["ROUGE-L"]) == {"tau_b", "tau_c"}
    assert 50 < taus["ROUGE-L"]["tau_b"] <= 100
