"""What a command must not load: a cold start is most of what a single photo costs."""

import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

from .conftest import World

NEVER = (
    "accelerate", "h5py", "numba", "onnxruntime", "pyarrow", "rich", "scipy", "spacy", "sympy",
    "torch._dynamo", "transformers",
)  # fmt: skip

_PROGRAM = """
import json, sys
from miacap import cli
try:
    sys.argv[0] = "miacap"
    cli.main()
except SystemExit as end:
    assert not end.code, end.code
compiled = 0
if lexer := sys.modules.get("miacap.text.lexer"):
    compiled = lexer._compiled.cache_info().currsize
print(json.dumps([sorted(sys.modules), compiled]))
"""


def loaded_by(*arguments: str) -> tuple[set[str], int]:
    """Give the modules that a command loads, and how many patterns of the tokenizer it compiles."""
    command = [sys.executable, "-c", _PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modules, compiled = json.loads(done.stdout.splitlines()[-1])
    return set(modules), compiled


def test_captioning_loads_no_compiler_and_no_progress_bar(tmp_path: Path, world: World) -> None:
    Image.new("RGB", (64, 48), (200, 30, 30)).save(tmp_path / "a.png")
    modules, _ = loaded_by("caption", str(tmp_path / "a.png"), "--run", str(world.run("combined")))
    assert not modules & set(NEVER) and "torch" in modules


def test_help_loads_neither_torch_nor_numpy() -> None:
    modules, compiled = loaded_by("--help")
    assert not modules & {*NEVER, "torch", "numpy", "PIL"}
    assert compiled == 0


def test_common_words_compile_no_rule(tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("A dog runs in the grass.\n")
    modules, compiled = loaded_by("tokenize", str(tmp_path / "lines"))
    assert not modules & {*NEVER, "torch", "PIL"}
    assert compiled == 0
