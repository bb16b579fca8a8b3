"""Runs what a page of the docs says, step by step, in the folder where it is started.

    python docs_runner.py steps.json

One process for a page: `miacap ...` calls what the command calls, with the words that a shell
would hand on (quotes, comments, `*`, `> FILE`); lines with other signs of a shell go to bash, where
`miacap` is the same program. Python blocks of a page share their names, as in a notebook.
"""

import contextlib
import glob
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from miacap.cli import application

_FOR_BASH = ("|", "{", ";", "$")


def words_of(line: str) -> tuple[list[str], str]:
    """Give the words that a shell makes of a line, and the file that its output goes to."""
    words = shlex.split(line, comments=True)
    into = ""
    if ">" in words:
        into = words[words.index(">") + 1]
        words = words[: words.index(">")]
    found: list[str] = []
    for word in words:
        matching = sorted(glob.glob(word)) if "*" in word else [word]
        found += matching or [word]
    return found, into


def miacap(words: list[str]) -> int:
    sys.argv = ["miacap", *words]
    try:
        application.run()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def shell(line: str) -> None:
    """Run a line as a shell does; raises where it fails."""
    words, into = words_of(line)
    if words[0] == "export":
        name, _, value = words[1].partition("=")
        os.environ[name] = value
    elif words[0] != "miacap" or any(sign in line for sign in _FOR_BASH):
        script = f'miacap() {{ "{sys.executable}" -m miacap "$@"; }}\n{line}'
        subprocess.run(["bash", "-euo", "pipefail", "-c", script], check=True)
    elif into:
        with open(into, "w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
            code = miacap(words[1:])
        assert code == 0, f"exit code {code}"
    else:
        assert (code := miacap(words[1:])) == 0, f"exit code {code}"


def run(step: dict[str, Any], names: dict[str, Any]) -> None:
    print(f"$ {step['text']}", flush=True)
    if (output := Path(step.get("anew", ""))).is_dir() and output != Path():
        shutil.rmtree(output)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            if step["kind"] == "python":
                exec(compile(step["text"], "a block of the page", "exec"), names)
            else:
                shell(step["text"])
    finally:
        print(said.getvalue(), end="", flush=True)
    if "prints" in step:
        assert said.getvalue().strip() == step["prints"], f"the page says {step['prints']!r}"


def main(file: Path) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for step in json.loads(file.read_text(encoding="utf-8")):
        try:
            run(step, names)
        except BaseException:
            traceback.print_exc()
            sys.exit(f"failed: {step['text']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
