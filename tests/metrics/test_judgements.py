"""Agreement with people: protocols, Flickr8k's formats, and the official scores' own taus."""

import json
from pathlib import Path
from typing import Any

import pytest

from miacap.cli.judge import judge as command
from miacap.errors import DataError, UnknownName
from miacap.metrics import score
from miacap.metrics.judgement_files import read_judgements
from miacap.metrics.judgements import PROTOCOLS, Judgement, judge
from miacap.metrics.kendall import taus

TOKENS = "\n".join(
    f"{name}.jpg#{n}\t{caption}"
    for name, captions in {
        "a": ["A dog runs over grass .", "The brown dog is running ."],
        "b": ["Two men ride horses .", "Men on horses ."],
        "c": ["A red bus in the street .", "The bus is red ."],
    }.items()
    for n, caption in enumerate(captions)
)
EXPERT = (
    "a.jpg\tb.jpg#0\t1\t1\t1\na.jpg\ta.jpg#1\t4\t4\t4\nb.jpg\tb.jpg#1\t4\t3\t4\n"
    "b.jpg\ta.jpg#0\t1\t2\t1\nc.jpg\ta.jpg#0\t1\t1\t2\nc.jpg\tb.jpg#0\t2\t1\t1\n"
)
CROWD = (
    "a.jpg\tb.jpg#0\t0\t0\t3\na.jpg\ta.jpg#1\t1\t3\t0\nb.jpg\tc.jpg#0\t0.333333\t1\t2\n"
    "broken row\nc.jpg\tc.jpg#1\t0.9\t1\t2\nc.jpg\tz.jpg#1\t0\t0\t3\n"
)


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.txt"
    path.write_text(TOKENS + "\n", encoding="utf-8")
    return path


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "judged"
    path.write_text(text, encoding="utf-8")
    return path


def test_expert_format(tmp_path: Path, tokens: Path) -> None:
    read = read_judgements(write(tmp_path, EXPERT), tokens)
    assert not read.crowd and read.set_aside == ()
    assert read.judgements[1] == Judgement(
        "a.jpg", "The brown dog is running .", (4.0, 4.0, 4.0), own=True
    )
    assert [j.own for j in read.judgements] == [False, True, True, False, False, False]


def test_crowd_format_sets_damaged_rows_aside(tmp_path: Path, tokens: Path) -> None:
    read = read_judgements(write(tmp_path, CROWD), tokens)
    assert read.crowd
    assert [j.ratings for j in read.judgements] == [(0.0,), (1.0,), (0.333333,)]
    assert len(read.set_aside) == 3
    assert "line 4: 1 column instead of 5" in read.set_aside[0]
    assert "0.9 is not the share of yes of 1 yes, 2 no" in read.set_aside[1]
    assert "no caption 'z.jpg#1' in the references" in read.set_aside[2]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_protocols_by_hand(protocol: str, tmp_path: Path, tokens: Path) -> None:
    """Each pair is one picture; observations and references as the protocol says."""
    read = read_judgements(write(tmp_path, EXPERT), tokens)
    found = judge(read.judgements, read.references, ["ROUGE-L", "CIDEr-D"], protocol)
    kept = [j for j in read.judgements if "all" in protocol or protocol == "crowd" or not j.own]
    assert found.pairs == len(kept) and found.dropped == 6 - len(kept)
    lists = [
        [c for c in read.references[j.picture] if protocol != "crowd" or c != j.caption]
        for j in kept
    ]
    scores = score(lists, [j.caption for j in kept], ["ROUGE-L", "CIDEr-D"])
    for name in scores:
        rows = [
            (value, rating)
            for value, j in zip(scores.per_picture[name], kept, strict=True)
            for rating in (j.ratings if "flat" in protocol else [sum(j.ratings) / 3])
        ]
        expected = taus([a for a, _ in rows], [b for _, b in rows])
        assert found.observations == len(rows)
        assert found.taus[name].tau_b == pytest.approx(100 * expected.tau_b, nan_ok=True)
        assert found.taus[name].tau_c == pytest.approx(100 * expected.tau_c, nan_ok=True)


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "columns"])
def test_tables(form: str, tmp_path: Path) -> None:
    references = write(tmp_path, json.dumps({"1": ["a dog runs"], "2": ["a cat"]}))
    rows = [("1", "a dog, running", [1, 2]), ("2", "a cat", [4, 3])]
    path = tmp_path / "table"
    if form == "csv":
        lines = ["picture,caption,ratings", '1,"a dog, running",1 2', "2,a cat,4;3"]
        path.write_text("\n".join(lines), encoding="utf-8")
    elif form == "columns":
        lines = ["image_id\tcandidate\trating_1\trating_2", "1\ta dog, running\t1\t2"]
        path.write_text("\n".join([*lines, "2\ta cat\t4\t3", ""]), encoding="utf-8")
    else:
        objects = [dict(zip(("picture", "caption", "ratings"), row, strict=True)) for row in rows]
        text = (
            json.dumps({"pairs": objects})
            if form == "json"
            else "\n".join(json.dumps(o) for o in objects)
        )
        path.write_text(text, encoding="utf-8")
    read = read_judgements(path, references)
    assert [(j.picture, j.caption, list(j.ratings)) for j in read.judgements] == rows
    assert [j.own for j in read.judgements] == [False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("picture,caption\n1,x\n", "line 2: no ratings"),
        ("picture,caption,ratings\n1,x,good\n", "line 2: a rating is a number, not 'good'"),
        ("caption,rating\nx,1\n", "line 2: no picture; name it one of picture, image"),
        ("picture,caption,rating\n1,x\n", "line 2: 2 cells for 3 columns; quote captions"),
        ('{"picture": 1, "caption": 2, "ratings": [1]}', "a judged caption is text, not 2"),
        ('{"picture": 1\n', "line 2, column 1: not JSON"),
        ("[1]", "entry 1: expected an object, got 1"),
        (
            f'[{{"picture": 1, "caption": "x", "ratings": [{"9" * 5000}]}}]',
            "a number of 5,000 digits",
        ),
    ],
)
def test_wrong_tables_say_where(text: str, message: str, tmp_path: Path, tokens: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_judgements(write(tmp_path, text), tokens)


def test_wrong_judgements_are_refused(tmp_path: Path, tokens: Path) -> None:
    read = read_judgements(write(tmp_path, EXPERT), tokens)
    with pytest.raises(UnknownName, match=r"No protocol named 'flatt'\. Did you mean 'flat'\?"):
        judge(read.judgements, read.references, protocol="flatt")
    with pytest.raises(DataError, match=r"1 judged picture has no references: c\.jpg\."):
        judge(read.judgements, {k: v for k, v in read.references.items() if k != "c.jpg"})
    with pytest.raises(DataError, match="1 judged pair is left under 'flat'"):
        judge(read.judgements[:2], read.references)
    with pytest.raises(DataError, match=r"line 1: no references for 'x\.jpg'"):
        read_judgements(write(tmp_path, "x.jpg\tb.jpg#0\t1\t1\t1\n"), tokens)


def test_taus_of_flickr8k_expert_are_the_official_scores_taus(golden: Any) -> None:
    content = golden("expert_half").content
    pairs = content["pairs"]
    judgements = [Judgement(p["picture"], p["candidate"], tuple(p["ratings"])) for p in pairs]
    names = {"BLEU-1": "BLEU-1", "BLEU-4": "BLEU-4", "ROUGE_L": "ROUGE-L"}
    found = judge(judgements, content["references"], list(names.values()))
    ratings = [rating for p in pairs for rating in p["ratings"]]
    for official, name in names.items():
        expected = taus([p["official"][official] for p in pairs for _ in p["ratings"]], ratings)
        assert found.taus[name].tau_b == pytest.approx(100 * expected.tau_b, abs=1e-9)
        assert found.taus[name].tau_c == pytest.approx(100 * expected.tau_c, abs=1e-9)


@pytest.mark.slow
def test_the_command_gives_the_official_scores_taus(golden: Any, tmp_path: Path) -> None:
    """`miacap judge` on half of Flickr8k-Expert, with METEOR, from a table to a file of taus."""
    content = golden("expert_half").content
    pairs = content["pairs"]
    fields = ("picture", "candidate", "ratings")
    table = write(tmp_path, "\n".join(json.dumps({f: p[f] for f in fields}) for p in pairs))
    known = tmp_path / "references.json"
    known.write_text(json.dumps(content["references"]), encoding="utf-8")
    names = {"BLEU-1": "BLEU-1", "BLEU-4": "BLEU-4", "METEOR": "METEOR", "ROUGE_L": "ROUGE-L"}
    out = tmp_path / "taus.json"
    command(table, known, metrics=list(names.values()), json_file=out, quiet=True)
    found = json.loads(out.read_text(encoding="utf-8"))
    assert list(found) == list(names.values())
    kept = [p for p in pairs if p["candidate"] not in content["references"][p["picture"]]]
    ratings = [rating for p in kept for rating in p["ratings"]]
    for official, name in names.items():
        expected = taus([p["official"][official] for p in kept for _ in p["ratings"]], ratings)
        assert set(found[name]) == {"tau_b", "tau_c"}
        assert found[name]["tau_b"] == pytest.approx(100 * expected.tau_b, abs=1e-9)
        assert found[name]["tau_c"] == pytest.approx(100 * expected.tau_c, abs=1e-9)


def test_crowd_removes_a_picture_s_own_caption_and_not_its_twin() -> None:
    """Neither what another person wrote in the same words, nor an equal caption of elsewhere."""
    references = {
        "a": ["a dog runs", "a dog runs", "the dog is running"],
        "b": ["a red bus", "a bus"],
        "c": ["a red bus", "two buses"],
    }
    pairs = [
        Judgement("a", "a dog runs", (1.0,), own=True),
        Judgement("b", "a red bus", (0.5,), own=True),
        Judgement("c", "a red bus", (0.0,), own=False),
    ]
    found = judge(pairs, references, ["ROUGE-L"], "crowd")
    left = [["a dog runs", "the dog is running"], ["a bus"], references["c"]]
    expected = score(left, [pair.caption for pair in pairs], ["ROUGE-L"])
    assert found.scores.per_picture == expected.per_picture
    assert found.scores.per_picture["ROUGE-L"][0] == found.scores.per_picture["ROUGE-L"][2] == 1
    assert found.scores.per_picture["ROUGE-L"][1] < 1


def test_a_row_of_too_many_cells_is_set_aside_and_the_others_count(
    tokens: Path, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("picture,caption,rating\na.jpg,A dog,1\nb.jpg,Men, horses,2\nb.jpg,Men,3\n")
    read = read_judgements(path, tokens)
    assert [(j.picture, j.ratings) for j in read.judgements] == [("a.jpg", (1,)), ("b.jpg", (3,))]
    assert read.set_aside == (f"{path}, line 3: 4 cells for 3 columns; quote captions",)
