"""The commands on captions that nobody meant to write: no crash, no shift, nothing lost."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from miacap.metrics import METRICS, score

# Line breaks of every kind, a lone surrogate, NUL, nothing, punctuation, ten thousand characters.
ODD = {
    "newline": "a dog\nruns",
    "breaks": "a\r\ncat\u2028on\x0b\x0ca\x85mat",
    "tab": "\ta\tred\tbus\t",
    "surrogate": "\ud800 a dog \udfff",
    "nul": "two\x00 men",
    "empty": "",
    "punctuation": "... ! ,",
    "long": "word " * 2000,
    "one word": "x" * 10_000,
    "bars": "a ||| b ||| c",
    "\ud800": "an id of a surrogate",
}
PLAIN = {
    "first": ["A dog runs on grass.", "The dog is running."],
    "last": ["Two men ride horses.", "Men on horses."],
}
OWN = {"first": "a dog on grass", "last": "men on a horse"}


def command(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "miacap", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def sets() -> tuple[dict[str, list[str]], dict[str, str]]:
    """Two plain pictures with every odd caption between them, as reference and as candidate."""
    references = {"first": PLAIN["first"]}
    references |= {name: [caption, "a dog"] for name, caption in ODD.items()}
    return references | {"last": PLAIN["last"]}, {**ODD, **OWN}


def test_scores_of_odd_captions_reach_every_file(tmp_path: Path) -> None:
    references, candidates = sets()
    out = {name: tmp_path / name for name in ("s.json", "s.csv", "p.jsonl", "df.json")}
    found = command(
        *("score", write(tmp_path / "r.json", references), write(tmp_path / "c.json", candidates)),
        *("-m", "BLEU-4", "-m", "ROUGE-L", "-m", "CIDEr-D", "-m", "METEOR", "--diversity"),
        *("--json", out["s.json"], "--csv", out["s.csv"], "--per-picture", out["p.jsonl"]),
        *("--write-df", out["df.json"]),
    )
    assert found.returncode == 0, found.stderr
    scores = json.loads(out["s.json"].read_text(encoding="utf-8"))
    expected = score(references, candidates, ["BLEU-4", "METEOR", "ROUGE-L", "CIDEr-D"])
    assert {name: scores[name] for name in expected} == dict(expected)
    lines = out["p.jsonl"].read_text(encoding="utf-8").split("\n")[:-1]
    rows = [json.loads(line) for line in lines]
    assert [row["id"] for row in rows] == list(references)
    assert [row["METEOR"] for row in rows] == expected.per_picture["METEOR"]
    again = command(
        *("score", tmp_path / "r.json", tmp_path / "c.json", "-m", "CIDEr-D", "--quiet"),
        *("--df", out["df.json"], "--json", tmp_path / "again.json"),
    )
    assert again.returncode == 0, again.stderr
    by_file = json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))
    assert by_file["CIDEr-D"] == expected["CIDEr-D"]
    assert f"df:r.json/{len(references)}]" in by_file["signature"]


def test_ids_of_surrogates_are_listed_and_may_be_missing(tmp_path: Path) -> None:
    references, candidates = sets()
    paths = write(tmp_path / "r.json", references), tmp_path / "c.json"
    write(paths[1], {**OWN, **{name: ODD[name] for name in ("nul", "long")}, "unknown": "x"})
    refused = command("score", *paths, "-m", "ROUGE-L")
    assert refused.returncode == 1
    assert "9 pictures without a candidate: newline, breaks, tab, surrogate, empty and 4 more" in (
        refused.stderr
    )
    assert "1 picture with a candidate but no such references: unknown" in refused.stderr
    out = tmp_path / "s.json"
    write(paths[1], {name: text for name, text in candidates.items() if name != "\ud800"})
    allowed = command("score", *paths, "-m", "ROUGE-L", "--allow-missing", "--json", out)
    assert allowed.returncode == 0, allowed.stderr
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written["pictures"] == len(candidates) - 1
    assert "left out: 1 picture without a candidate: \ud800" in written["warnings"]
    write(paths[1], [{"image_id": name, "caption": "a"} for name in ("first", "first", "last")])
    twice = command("score", *paths)
    assert twice.returncode == 1
    assert "1 id has more than one candidate: first." in twice.stderr


@pytest.mark.parametrize("metric", METRICS)
def test_odd_captions_shift_no_other_score(metric: str) -> None:
    """CIDEr-D depends on the set, so its frequencies stand still: both odd and plain are there."""
    references, candidates = sets()
    odd = score(references, candidates, [metric]).per_picture[metric]
    plain = {**candidates, **dict.fromkeys(ODD, "a dog")}
    calm = score(references, plain, [metric]).per_picture[metric]
    assert (odd[0], odd[-1]) == (calm[0], calm[-1])
    assert odd[0] > 0


def test_judging_odd_captions(tmp_path: Path) -> None:
    references, _ = sets()
    rows = [
        {"picture": "first", "caption": caption, "ratings": [place % 4 + 1]}
        for place, caption in enumerate(ODD.values())
    ]
    rows += [{"picture": "\ud800", "caption": "men on a horse", "ratings": [1]}]
    out = tmp_path / "taus.json"
    metrics = [x for name in METRICS if name != "SPICE" for x in ("-m", name)]
    found = command(
        *("judge", write(tmp_path / "j.json", rows), "--json", out, *metrics),
        *("--references", write(tmp_path / "r.json", references)),
    )
    assert found.returncode == 0, found.stderr
    taus: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    assert list(taus) == [name for name in METRICS if name != "SPICE"]
    assert all(set(pair) == {"tau_b", "tau_c"} for pair in taus.values())
    assert -100 <= taus["ROUGE-L"]["tau_c"] <= 100


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    paths = write(tmp_path / "r.json", PLAIN), write(tmp_path / "c.json", OWN)
    found = command("score", *paths, "-m", "ROUGE-L", "--quiet", "--json", paths[0] / "s.json")
    assert found.returncode == 1 and found.stdout == ""  # said before anything is scored
    assert found.stderr.startswith(f"miacap: {paths[0]}") and found.stderr.count("\n") == 1


def test_tokenize_gives_a_line_for_every_line(tmp_path: Path) -> None:
    lines = [caption.replace("\n", " ") for caption in ODD.values()]
    data = "\n".join(lines).encode("utf-8", "replace") + b"\n"
    (tmp_path / "lines.txt").write_bytes(data)
    found = command("tokenize", tmp_path / "lines.txt")
    assert found.returncode == 0, found.stderr
    tokens = found.stdout.split("\n")[:-1]
    assert len(tokens) == len(lines)
    assert tokens[0] == "a dog runs" and tokens[5] == "" and tokens[6] == ""
    assert tokens[7] == " ".join(["word"] * 2000) and tokens[8] == "x" * 10_000
