"""Where the model of a name lies: in places that a person named, in the library's cache.

A folder that a person types is taken as it is. A record holds a name and a checksum; whatever
else stands there is refused, so that a stranger's record leads to no folder of this machine.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from miacap.errors import MissingExtra, RunError
from miacap.visual.huggingface.folder import ModelFolder, is_model
from miacap.visual.places import Places

NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(@[A-Za-z0-9][\w.-]*)?", re.ASCII)
"""A model's name as records hold it: "model", "owner/model" or "owner/model@revision"."""
_FILES = ("config.json", "*processor_config.json", "model*.safetensors", "*.safetensors.index.json")
_FOR_WORDS = ("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "*.model")


def find(name: str, places: Places, wanted: str | None = None, *, absent: str = "") -> ModelFolder:
    """Find a model by its name.

    Args:
        name: as `NAME` has it.
        places: where it may lie, besides the library's cache.
        wanted: the checksum that it has to have; None takes the first that is found.
        absent: what to say first where it is nowhere.

    Raises:
        RunError: it is nowhere, or only others of its name are.
        MissingExtra: the library is not installed.
    """
    if not NAME.fullmatch(name) or ".." in name:
        raise RunError(f"hf:{name[:80]!r} is no name of a model (owner/model, or model).")
    others = []
    for path in _candidates(name, places):
        folder = ModelFolder.open(path)
        if wanted in (None, folder.sha256):
            return folder
        others.append(folder)
    if others:
        raise RunError(
            f"The model hf:{name} that is here ({others[0].path}) is another than the one that is "
            f"wanted (SHA-256 {others[0].sha256[:12]}, not {str(wanted)[:12]}). Name the folder of "
            "that one: --weights FOLDER, or MIACAP_WEIGHTS=FOLDER"
        )
    raise RunError(
        f"{absent[:1].upper()}{absent[1:]}{'the' if absent else 'The'} model hf:{name} is not on "
        "this machine. Name its folder (--weights FOLDER, or "
        "MIACAP_WEIGHTS=FOLDER), or let it be fetched where a command has --allow-download."
    )


def typed(text: str, places: Places) -> tuple[str, ModelFolder]:
    """Give the name to record, and the folder, of what a person typed: a folder, or a name.

    Raises:
        RunError: no such folder and no model of that name, or no model in it.
    """
    path = Path(text).expanduser()
    if path.is_dir():
        return _called(path), ModelFolder.open(path)
    if text.startswith((".", "~", os.sep)) or not NAME.fullmatch(text):
        raise RunError(f"hf:{text}: there is no such folder, and no model has such a name.")
    return text, find(text, places, absent=f"there is no folder {text}, and ")


def _called(path: Path) -> str:
    """Name a folder for a record: its own last name, or the name that the cache keeps it under."""
    whole = Path(os.path.abspath(path))
    if whole.parent.name == "snapshots" and whole.parents[1].name.startswith("models--"):
        return whole.parents[1].name.removeprefix("models--").replace("--", "/")
    return re.sub(r"[^A-Za-z0-9_.-]+|\.\.+", "-", whole.name).lstrip("._-") or "model"


def _candidates(name: str, places: Places) -> Iterator[Path]:
    bare, _, revision = name.partition("@")
    yield from places.folders(bare)
    hub = _hub(name)
    found = hub.try_to_load_from_cache(bare, "config.json", revision=revision or None)
    if isinstance(found, str):
        yield Path(found).parent
    if places.download:
        try:
            path = hub.snapshot_download(
                bare, revision=revision or None, allow_patterns=[*_FILES, *_FOR_WORDS]
            )
        except Exception as error:  # hubs fail in many ways
            raise RunError(
                f"The model hf:{name} could not be fetched ({str(error)[:200]})."
            ) from None
        if is_model(Path(path)):
            yield Path(path)


def _hub(name: str) -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise MissingExtra("hf", f"The model hf:{name}") from None
    return huggingface_hub
