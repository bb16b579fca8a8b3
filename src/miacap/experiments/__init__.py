"""Room: experiments. Recipes and the demo: whole ways from pictures to a scored captioner.

Offers `demo`, which needs nothing but the installed package. May import every room below it.
"""

from miacap.experiments.demo import Demo, demo

__all__ = ["Demo", "demo"]
