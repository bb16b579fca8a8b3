"""Room: experiments. Recipes and the demo: whole ways from pictures to a scored captioner.

Offers `demo`, which needs nothing but the installed package, `recipe` and `reproduce`, and the
modules `recipes` (all names) and `paper` (its tables). May import every room below it.
"""

from miacap.experiments import paper, recipes
from miacap.experiments.demo import Demo, demo
from miacap.experiments.knobs import Knobs, Probe
from miacap.experiments.recipes import Recipe, recipe
from miacap.experiments.reproducing import Reproduced, reproduce

__all__ = [
    "Demo",
    "Knobs",
    "Probe",
    "Recipe",
    "Reproduced",
    "demo",
    "paper",
    "recipe",
    "recipes",
    "reproduce",
]
