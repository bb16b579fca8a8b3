"""Reading and tokenising captions: beside the bare JSON parser, and beside the official program.

    python benchmarks/reading.py [--pictures 20000] [--rounds 3] [--json bench/reading.json]

The limit of reading is `json.load`: what the parser alone takes for the same file. The peer of the
tokenizer is Stanford's PTBTokenizer, which pycocoevalcap starts as a Java program; both sides give
the same tokens.
"""

import argparse
import contextlib
import gzip
import io
import json
import resource
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metrics import SHARED, captions
from miacap.metrics import read_references
from miacap.text import tokenize
from pairs import Row, cpu, in_turns, save


def raw_captions() -> list[list[str]]:
    """COCO's captions as people wrote them where they lie beside the checkout, else drawn ones."""
    path = SHARED / "metrics" / "val5k_model.json.gz"
    if not path.is_file():
        return captions(5000)[2]
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [row["references"] for row in json.load(file)["images"]]


def with_children(work: Callable[[], Any]) -> float:
    """CPU seconds of this process and of the programs that it started and that ended."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = cpu(work)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own + after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def annotations(folder: Path, references: list[list[str]], pictures: int) -> Path:
    """Write COCO's annotation form; the references come again until there are enough."""
    file = folder / "captions.json"
    rows = [
        {"image_id": number, "id": 5 * number + n, "caption": text}
        for number in range(pictures)
        for n, text in enumerate(references[number % len(references)])
    ]
    images = [{"id": number, "file_name": f"{number:012d}.jpg"} for number in range(pictures)]
    file.write_text(json.dumps({"images": images, "annotations": rows}), encoding="utf-8")
    return file


def reading(references: list[list[str]], pictures: int, rounds: int) -> Row:
    """Time `read_references` and the bare parser."""
    with tempfile.TemporaryDirectory() as name:
        file = annotations(Path(name), references, pictures)
        sides = {
            "ours": lambda: read_references(file),
            "limit": lambda: json.loads(file.read_text(encoding="utf-8")),
        }
        times = in_turns(sides, rounds)
    work = f"references read, COCO's annotation form, {pictures:,} x 5"
    return Row(work, "json.loads alone", times["ours"], times["limit"], is_limit=True)


def tokenising(lines: list[str], rounds: int) -> list[Row]:
    """Time both tokenizers."""
    if shutil.which("java") is None:
        print("no Java here: the tokenizer's peer is left out")
        return []
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    rows = {0: [{"caption": line} for line in lines]}

    def official() -> list[str]:
        with contextlib.redirect_stderr(io.StringIO()):
            found: list[str] = PTBTokenizer().tokenize(rows)[0]
        return found

    def ours() -> list[str]:
        return [" ".join(tokenize(line)) for line in lines]

    theirs, mine = official(), ours()
    differing = sum(one != other for one, other in zip(theirs, mine, strict=True))
    print(f"{differing} of {len(lines)} tokenised lines differ (ours takes each line alone)")
    sides = {"ours": ours, "peer": official}
    times = in_turns(sides, rounds, clock=with_children)
    work = f"{len(lines):,} captions tokenised"
    return [Row(work, "PTBTokenizer (Java), its start included", times["ours"], times["peer"])]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("bench/reading.json"))
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    references = raw_captions()
    lines = [line for some in references for line in some]
    rows = [reading(references, options.pictures, options.rounds)]
    rows += tokenising(lines, options.rounds)
    save(options.json, rows)


if __name__ == "__main__":
    main()
