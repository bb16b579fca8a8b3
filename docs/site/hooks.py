"""What `make docs` adds to the pages of docs/ when it builds the site.

    index.md, changes.md, contributing.md   README, CHANGELOG and CONTRIBUTING of the repository
    examples.md                             every example, whole
    pretrained.md                           the model card
    reference/*.md                          a page for each room: its public names, by docstrings
    search on a site that is opened as files   a stand-in for workers, which browsers refuse there

Links in the pages stay as they are on GitHub; here they are turned to where things are on the
site. A link that leads to none of them is an error of the build.
"""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
WORKER = "javascripts/iframe-worker.js"
ROOMS = (
    "metrics", "text", "tables", "data", "pictures", "visual", "refiner", "captioners", "decoding",
    "training", "concepts", "runs", "captioning", "explain", "serving", "experiments",
)  # fmt: skip

_MOVED = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "CITATION.cff": "citation.md",
    "LICENSE": "licence.md",
    "examples/photos/README.md": "photos.md",
    "examples/photos/CREDITS.csv": "pictures/photos/CREDITS.csv",
    "pretrained/flickr8k/README.md": "pretrained.md",
    "pretrained/flickr8k/LICENSE": "pretrained-licence.md",
}
"""Files of the repository outside docs/ that are pages of the site."""
_LINK = re.compile(r"(\]\()(?!\w+:|#)([^)\s#]+)((?:#[^)\s]*)?\))")
"""Links and pictures; not those that lead to another site or stay on the page."""


def on_config(config: Any) -> Any:
    """Add the pages of docs/ that the navigation does not name."""
    named = set(_named(config["nav"]))
    pages = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
    if more := [page for page in pages if page not in named]:
        config["nav"].append({"More": more})
    return config


def _named(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    for inside in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from _named(inside)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are no files of docs/."""
    for name, page in _MOVED.items():
        if (ROOT / name).is_file() and not name.endswith(".csv"):
            files.append(File.generated(config, page, content=_moved(name)))
    files.append(File.generated(config, "examples.md", content=_examples()))
    for room in ROOMS:
        page = f"reference/{room}.md"
        files.append(File.generated(config, page, content=_reference(room)))
    for photo in sorted((ROOT / "examples" / "photos").glob("*.*")):
        if photo.suffix == ".md":
            continue
        path = f"pictures/photos/{photo.name}"
        files.append(File.generated(config, path, abs_src_path=str(photo)))
    worker = (Path(__file__).parent / "iframe-worker.js").read_text(encoding="utf-8")
    files.append(File.generated(config, WORKER, content=worker))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links to files of the repository to where they are on the site."""
    source = page.file.src_uri
    if source.startswith("reference/"):
        return markdown
    home = next((name for name, moved in _MOVED.items() if moved == source), f"docs/{source}")
    return turned(markdown, home)


def turned(markdown: str, home: str) -> str:
    """Give the text of a repository's page with its links as the site has them.

    Args:
        markdown: the text.
        home: path of the page in the repository.
    """
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.S | re.M)
    for index in range(0, len(parts), 2):  # code stays
        parts[index] = _LINK.sub(lambda m: m[1] + _target(home, m[2]) + m[3], parts[index])
    return "".join(parts)


def _target(home: str, link: str) -> str:
    """Give where a link of a page leads on the site."""
    path = (ROOT / home).parent.joinpath(link).resolve()
    if not path.is_relative_to(ROOT):
        return link
    name = path.relative_to(ROOT).as_posix()
    if name in _MOVED:
        return _MOVED[name]
    if name.startswith("docs/"):
        return name.removeprefix("docs/")
    if name.startswith("examples/photos/") and path.is_file():
        return f"pictures/photos/{path.name}"
    if name.startswith("examples"):
        return "examples.md"
    return link  # leads nowhere, and the build says so


def _moved(name: str) -> str:
    text = (ROOT / name).read_text(encoding="utf-8")
    if name.endswith(".md"):
        return re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.S)
    return f"# {Path(name).name}\n\n```text\n{text}```\n"


def _examples() -> str:
    parts = ["# Examples\n\nEach runs in a test. They lie in `examples/`.\n"]
    for file in sorted((ROOT / "examples").glob("*.py")):
        said = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n")[0]
        code = file.read_text(encoding="utf-8")
        parts.append(f"## {file.stem.replace('_', ' ')}\n\n{said}\n\n```python\n{code}```\n")
    return "\n".join(parts)


def public(room: str) -> Iterator[str]:
    """Give the public names of a room without importing it: its `__all__`."""
    package = ROOT / "src" / "miacap" / room / "__init__.py"
    file = package if package.is_file() else package.parent.with_suffix(".py")
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        if any(isinstance(one, ast.Name) and one.id == "__all__" for one in targets):
            yield from ast.literal_eval(statement.value)  # type: ignore[attr-defined]


def _reference(room: str) -> str:
    module = f"miacap.{room}"
    blocks = []
    for name in sorted(public(room), key=str.lower):
        try:
            found = _sources()[f"{room}.{name}"]
            _ = found.final_target if isinstance(found, griffe.Alias) else found
            blocks.append(f"::: {module}.{name}\n")
        except (KeyError, griffe.AliasResolutionError):  # one of several that share an assignment
            blocks.append(f"## {name}\n\nA constant; [Python](../api.md) has its value.\n")
    head = f"::: {module}\n    options:\n      members: false\n      heading_level: 1\n"
    return "\n".join([head, *blocks])


@functools.cache
def _sources() -> griffe.Object | griffe.Alias:
    return griffe.load("miacap", search_paths=[str(ROOT / "src")], resolve_aliases=True)
