"""Room: experiments. Recipes and the demo: whole ways from pictures to a scored captioner.

Offers `demo`, which needs nothing but the installed package, `recipe` and `reproduce`, and the
modules `recipes` (all names) and `paper` (its tables). May import every room below it.
"""

from typing import TYPE_CHECKING, Any

from miacap.experiments import paper, recipes

if TYPE_CHECKING:
    from miacap.experiments.demonstration import Demo, demo, first_look
    from miacap.experiments.knobs import Knobs, Probe
    from miacap.experiments.real_photos import Seen
    from miacap.experiments.recipes import Recipe, recipe
    from miacap.experiments.reproducing import Reproduced, reproduce

__all__ = [
    "Demo",
    "Knobs",
    "Probe",
    "Recipe",
    "Reproduced",
    "Seen",
    "demo",
    "first_look",
    "paper",
    "recipe",
    "recipes",
    "reproduce",
]

_LAZY = {
    "Demo": "demonstration",
    "Knobs": "knobs",
    "Probe": "knobs",
    "Recipe": "recipes",
    "Reproduced": "reproducing",
    "Seen": "real_photos",
    "demo": "demonstration",
    "first_look": "demonstration",
    "recipe": "recipes",
    "reproduce": "reproducing",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'miacap.experiments' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"miacap.experiments.{_LAZY[name]}"), name)
