"""Networks that turn prepared photos into maps of features, by name.

EfficientNet-Lite is our own file with weights from a package, or from a folder of `miacap tune`
(`tuned:FOLDER`); `timm:NAME`, `torchvision:NAME` and
`hf:FOLDER-OR-NAME` are other libraries' networks, imported when one is asked for.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from miacap.data.features import Preprocessing
from miacap.devices import Device
from miacap.errors import UnknownName
from miacap.files import sha256
from miacap.visual import efficientnet_lite, tuned
from miacap.visual.backbone import Backbone
from miacap.visual.lite import PACKAGE_VERSION, Lite, MissingWeights, package, weights_path
from miacap.visual.places import Called, Places

__all__ = [
    "DEFAULT",
    "LIBRARIES",
    "PACKAGE_VERSION",
    "Lite",
    "MissingWeights",
    "lite_file",
    "load",
    "names",
    "package",
    "rebuild",
    "weights_path",
]

DEFAULT = "efficientnet-lite2"
LIBRARIES = ("timm", "torchvision", "hf")


def load(name: str = DEFAULT, device: Device = "auto", places: Places | None = None) -> Backbone:
    """Give a backbone that a person names.

    Args:
        name: one of `names`, "tuned:FOLDER", "timm:NAME", "torchvision:NAME", or "hf:" with a
            model's folder or name.
        device: where it runs; "auto" takes a GPU where torch sees one.
        places: where its weights may be found; None takes those of MIACAP_WEIGHTS, and the
            libraries' caches.

    Raises:
        UnknownName: no such backbone; offers the nearest.
        MissingExtra: its library or weights are not installed; says the pip line.
        RunError: its weights are not here, or not what they should be.
        SettingsError: a device that torch does not have.
    """
    places = Places.of() if places is None else places
    library, colon, rest = name.partition(":")
    if colon and library == "tuned":
        return tuned.load(rest, device)
    if colon and library == "hf":
        from miacap.visual import huggingface

        return huggingface.load(*huggingface.typed(rest, places), device)
    _refuse_bare_folder(name)
    return _known(name, device, places)


def _refuse_bare_folder(name: str) -> None:
    """Refuse a model's folder that a person named without its kind, and say which it is."""
    for kind, file in (("tuned", tuned.DESCRIPTION), ("hf", "config.json")):
        if (Path(name) / file).is_file():
            raise UnknownName(
                "backbone", name, _kinds(), advice=f"for that folder write {kind}:{name}"
            )


def _kinds() -> tuple[str, ...]:
    return (*names(), "tuned:FOLDER", "timm:NAME", "torchvision:NAME", "hf:FOLDER-OR-NAME")


def rebuild(
    record: Preprocessing,
    device: Device = "auto",
    places: Places | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Backbone:
    """Give the backbone of a record, with the weights that its checksum names.

    A record may come from a stranger: no path in it is followed. Its weights are looked for in
    `folder`, in `places` and in the libraries' caches.

    Args:
        record: of a store or a run.
        device: where it runs.
        places: as for `load`.
        folder: of the store or the run, which carries a tuned backbone along.

    Raises:
        UnknownName, MissingExtra, RunError, SettingsError: as `load`.
    """
    if (own := tuned.carried(record, folder, device)) is not None:
        return own
    places = Places.of() if places is None else places
    library, colon, rest = record.backbone.partition(":")
    if colon and library == "hf":
        from miacap.visual import huggingface

        model = huggingface.find(rest, places, record.weights_sha256)
        return huggingface.load(rest, model, device)
    return _known(record.backbone, device, places, record.weights_sha256)


def _known(name: str, device: Device, places: Places, wanted: str | None = None) -> Backbone:
    library, colon, rest = name.partition(":")
    if colon and library == "timm":
        from miacap.visual import from_timm

        return from_timm.load(rest, device, places, wanted)
    if colon and library == "torchvision":
        from miacap.visual import from_torchvision

        return from_torchvision.load(rest, device, places, wanted)
    if name not in _OURS:
        raise UnknownName("backbone", name, _kinds(), near=names())
    return _OURS[name](name, weights=lite_file(name, places, wanted), device=device)


def lite_file(name: str, places: Places, wanted: str | None) -> Path | None:
    """Find a file of EfficientNet-Lite's weights; None leaves it to the installed package.

    Args:
        name: of the network.
        places: where it may be found.
        wanted: the checksum that it has to have; None takes the likeliest file.

    Raises:
        RunError: several files fit alike, where none is wanted.
    """
    called = Called((name,))
    if wanted is None:
        return places.file(called)
    return next((file for file in places.files(called) if sha256(file) == wanted), None)


_OURS: Mapping[str, Callable[..., Backbone]] = dict.fromkeys(efficientnet_lite.VARIANTS, Lite)
"""Name -> what builds it, called with the name, `weights` (a file or None) and `device`. The one
place for another backbone."""


def names() -> tuple[str, ...]:
    """Name the backbones that need no other library."""
    return tuple(_OURS)
