"""What a command must not load: a cold start is most of what a single photo costs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from miacap.text import detokenize, lexer, tokenize

from .conftest import World

NEVER = (
    "accelerate", "h5py", "numba", "onnxruntime", "pyarrow", "rich", "scipy", "spacy", "sympy",
    "torch._dynamo", "transformers",
)  # fmt: skip
UNUSED = (
    "miacap.captioning.evaluation", "miacap.captioning.training", "miacap.experiments",
    "miacap.metrics.files", "miacap.metrics.scoring", "PIL.EpsImagePlugin", "PIL.PdfImagePlugin",
)  # fmt: skip
"""Of what stands here, what a caption has no use for."""

_PROGRAM = """
import gc, json, sys
usual = gc.get_threshold()
from miacap import cli
try:
    sys.argv[0] = "miacap"
    cli.main()
except SystemExit as end:
    assert not end.code, end.code
compiled = 0
if lexer := sys.modules.get("miacap.text.lexer"):
    compiled = lexer._compiled.cache_info().currsize
collections = gc.get_stats()[2]["collections"]
gc.collect()
assert gc.get_threshold() == usual and not gc.callbacks
print(json.dumps([sorted(sys.modules), compiled, collections]))
"""


class Start(NamedTuple):
    """What a command did: its output, the modules that it loaded, the patterns of the tokenizer
    that it compiled, and how often the collector of cycles looked at everything."""

    output: list[str]
    modules: set[str]
    compiled: int
    collections: int


def start(*arguments: str) -> Start:
    """Run a command in a process of its own."""
    command = [sys.executable, "-c", _PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *output, last = done.stdout.splitlines()
    modules, compiled, collections = json.loads(last)
    return Start(output, set(modules), compiled, collections)


def test_a_caption_loads_what_it_needs(tmp_path: Path, world: World) -> None:
    Image.new("RGB", (64, 48), (200, 30, 30)).save(tmp_path / "a.png")
    began = start("caption", str(tmp_path / "a.png"), "--run", str(world.run("combined")))
    assert not began.modules & {*NEVER, *UNUSED} and "torch" in began.modules
    assert began.collections == 0
    # Rules are compiled where the caption's own words need them, and no others.
    (caption,) = began.output
    words = tokenize(caption)
    lexer._compiled.cache_clear()
    lexer._candidates.cache_clear()
    assert detokenize(words) == caption
    assert began.compiled == lexer._compiled.cache_info().currsize


def test_help_loads_neither_torch_nor_numpy() -> None:
    began = start("--help")
    assert not began.modules & {*NEVER, "torch", "numpy", "PIL"}
    assert began.compiled == 0


def test_common_words_compile_no_rule(tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("A dog runs in the grass.\n")
    began = start("tokenize", str(tmp_path / "lines"))
    assert not began.modules & {*NEVER, "torch", "PIL"}
    assert began.compiled == 0
