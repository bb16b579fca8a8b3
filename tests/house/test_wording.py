"""Counts read right in the singular: the helper, messages with 1, and every message of ours."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import miacap
from miacap import data, metrics
from miacap.captioning.words import Lengths
from miacap.errors import DataError, MiacapError
from miacap.metrics.checks import warnings
from miacap.progress import Progress
from miacap.tables.captions import odd_words
from miacap.wording import all_of, by_number, counted, none, part, singular

SOURCE = Path(miacap.__file__).parent


def test_the_helper() -> None:
    assert [counted(n, "picture") for n in (0, 1, 2)] == ["0 pictures", "1 picture", "2 pictures"]
    assert [counted(n, "id is", "ids are") for n in (1, 5)] == ["1 id is", "5 ids are"]
    assert part(1, 5, "caption", "is", "are") == "1 of 5 captions is"
    assert part(1, 1, "caption", "is", "are") == "1 of 1 caption is"
    assert part(0, 1, "caption", "is", "are") == "0 of 1 caption are"
    assert [by_number(n, "was", "were") for n in (0, 1, 2)] == ["were", "was", "were"]
    assert [all_of(n, "photo") for n in (1, 3)] == ["the only photo", "all 3 photos"]
    assert [none(n, "photo") for n in (1, 3)] == ["not even its only photo", "none of its 3 photos"]
    assert [singular(s) for s in ("photos", "batches", "kB")] == ["photo", "batch", "kB"]


_NUMBER = re.compile(r"len\(|count|number|total|size|pictures|width|words|rows|missing|absent|left")
_PLURAL = re.compile(
    r"^ (?!of )(?:[a-z-]+ ){0,2}?(?:pictures|photos|ids|rows|captions|lines|words|files|"
    r"epochs|steps|references|concepts|candidates|images|judgements|ratings|runs|entries|cells|shards|scenes|"
    r"regions|hypotheses|numbers|columns|pairs|sentences|bytes|recipes|results|batches|tokens|"
    r"splits|observations|times|are|have|were|belong)\b"
)
_ALWAYS_MORE = {
    # number, and why it is never 1
    ("metrics/checks.py", "pictures"): "one picture has a sentence of its own",
    ("visual/filling.py", "self._unreadable"): "20 in a row",
    ("visual/filling.py", "len(others)"): "one photo has words of its own",
    ("text/vocabulary.py", "len(self)"): "the special ids alone are four",
    ("experiments/parameters.py", "wanted"): "parameters of a captioner",
    ("cli/reproduce.py", "done.parameters"): "parameters of a captioner",
    ("metrics/lengths.py", "words"): "beyond 2,000",
    ("data/parquet_files.py", "size"): "a Parquet file has twelve at least",
    ("reading.py", "len(digits)"): "beyond 300",
}


def _counts() -> Iterator[tuple[str, int, str, str]]:
    """Give file, line, number and what follows of each number in a message of ours."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                for value, text in zip(node.values, node.values[1:], strict=False):
                    if isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant):
                        name = path.relative_to(SOURCE).as_posix()
                        yield name, node.lineno, ast.unparse(value.value), str(text.value)


def test_every_message_that_counts_uses_the_helper() -> None:
    """A number straight before a plural reads wrong where it is 1."""
    odd = [
        f"{name}:{line}: {{{number}}}{text[:40]}"
        for name, line, number, text in _counts()
        if _NUMBER.search(number)
        and _PLURAL.match(text)
        and not re.match(r"(counted|part|by_number|all_of|none|few|_pictures_have)\(", number)
        and (name, number) not in _ALWAYS_MORE
        and not re.fullmatch(r"_?[A-Z_.a-z]*[A-Z]{3}[A-Z_]*", number)  # a limit
    ]
    assert not odd, "\n".join(odd)


def test_exceptions_are_still_there() -> None:
    present = {(name, number) for name, _, number, _ in _counts()}
    assert _ALWAYS_MORE.keys() <= present


def _message(call: object) -> str:
    assert callable(call)
    with pytest.raises((MiacapError, ValueError)) as caught:
        call()
    return str(caught.value)


def test_messages_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "given.jsonl"
    table.write_text('{"id": "a", "caption": "x"}\n{"id": "a", "caption": "y"}\n')
    said = _message(lambda: metrics.read_candidates(table))
    assert "1 id has more than one candidate: a." in said

    (tmp_path / "photos").mkdir()
    rows = tmp_path / "captions.csv"
    rows.write_text("file_name,caption\na.png,A dog.\n")
    said = _message(lambda: data.read(rows, photos=tmp_path / "photos"))
    assert "not even the only photo is in" in said

    entries = [data.Entry("a", ("x",), "train")] * 2
    said = _message(lambda: data.Dataset("set", tuple(entries), data.NoPhotos()))
    assert "set: 1 id belongs to several pictures, the first is 'a'" in said

    said = _message(lambda: metrics.score({"a": []}, {"a": "x"}, allow_missing=True))
    assert "(1 id of references, 1 of candidates)" in said

    assert odd_words(["<unk> dog", "a dog"], "caption")[0].startswith("1 of 2 captions holds ")
    assert odd_words(["一只狗在草地上奔跑着"], "reference")[0].startswith("1 of 1 reference is ")
    found = warnings([["a dog"]], [" "], tokenized=False, own_frequencies=False)
    assert found == [
        "1 reference a picture; published scores use 5, and fewer references lower every score.",
        "1 of 1 candidate is empty; it scores 0.",
    ]
    told = Lengths(captions=9, longer=1, longest=30).told(20)
    assert told is not None and told.startswith(
        "1 of 9 training captions is longer than maximum_words=20 and was cut: the last words and"
    )

    with Progress("captioning", 1, "photos") as progress:
        progress.advance()
    assert capsys.readouterr().err.startswith("captioning: 1 photo, ")


def test_rewards_and_statistics_with_one() -> None:
    from miacap.metrics.meteor.statistics import aggregate
    from miacap.metrics.rewards import CiderReward

    said = _message(lambda: CiderReward({"a": []}))
    assert said.startswith("1 picture has no references: a.")
    said = _message(lambda: aggregate(np.zeros((1, 23), np.int64), np.zeros(2, np.int64)))
    assert said.startswith("weights for 1 picture, ")
    assert issubclass(DataError, MiacapError)
