"""Recipes: named settings for every row of the paper and every control.

A recipe's name is a baseline and an arm, "spatial-attention-combined". Five knobs make an arm:
what the captioner is fed (source), who queries first (order), how often (iterations N), whether
the streams query each other or themselves (attention), and the loss. A baseline's name alone,
with knobs, gives the same: `recipe("nic", source="plain")` is `recipe("nic-plain")`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from miacap import captioners
from miacap.errors import MiacapError, SettingsError, UnknownName, nearest
from miacap.experiments import paper
from miacap.experiments.baselines import BASELINES, Baseline
from miacap.experiments.controls import controls
from miacap.experiments.knobs import LOSSES, Arm, Knobs, Probe
from miacap.runs import RunSettings

__all__ = ["Recipe", "names", "recipe", "says"]

_FED = {
    "plain": "the paper's Baseline: nothing refined",
    "regions": "w/ I*: regions refined",
    "concepts": "w/ T*: concepts refined",
    "combined": "w/ MIA: the sum of both, refined, normed",
}


@dataclass(frozen=True)
class Recipe:
    """Settings for one arm of one baseline."""

    name: str
    baseline: str
    arm: str
    says: str
    """What it is, in a line."""
    features: str
    """What a row of features is in the paper."""
    settings: RunSettings
    knobs: Knobs
    small: bool = False
    concepts: Literal["none", "own", "another's"] = "none"
    """Whose concepts a picture gets, in training and on dev; "none": reads no concepts."""
    probes: tuple[Probe, ...] = ()
    """Readings of the trained captioner, beyond its own."""
    as_large_as: RunSettings | None = None
    """Control: as many parameters as a captioner of these settings, within 1 %."""
    begins_with: str | None = None
    """Recipe of the run whose best weights training begins with; None: weights are drawn."""

    def fitted(self, words: int, region_width: int) -> RunSettings:
        """Give the settings for a vocabulary and a backbone.

        Args:
            words: W, the special ids included.
            region_width: V.

        Raises:
            SettingsError: no width gives the wanted number of parameters within 1 %.
        """
        settings = replace(self.settings, region_width=region_width)
        if self.as_large_as is None:
            return settings
        from miacap.experiments.parameters import matched  # with torch, which a list does not need

        return matched(settings, replace(self.as_large_as, region_width=region_width), words)


def names() -> tuple[str, ...]:
    """List every recipe, baseline by baseline: the paper's arms, then the controls."""
    return tuple(
        f"{baseline.name}-{arm.name}" for baseline in BASELINES.values() for arm in _arms(baseline)
    )


def says(name: str) -> str:
    """Say in a line what a recipe is. Raises UnknownName."""
    return _find(name)[1].says


def recipe(
    name: str,
    small: bool = False,
    *,
    source: str | None = None,
    order: str | None = None,
    iterations: int | None = None,
    attention: str | None = None,
    loss: str | None = None,
) -> Recipe:
    """Give a recipe.

    Args:
        name: one of `names()`, or a baseline's name to turn the knobs of (source "combined"
            unless told).
        small: the form for one CPU and some thousand photos.
        source: what the captioner is fed; one of `captioners.sources`.
        order: "concepts-first" (the paper's) or "regions-first" (appendix A.1).
        iterations: N; 2 in the paper.
        attention: "mutual", or "self" (section 3.5).
        loss: "cross-entropy", or "self-critical", which begins with a run of the recipe of the
            same name without it.

    Raises:
        UnknownName: no such recipe.
        SettingsError: a knob that the captioner, the source or the name forbids.
    """
    turned: dict[str, Any] = {
        "source": source,
        "order": order,
        "iterations": iterations,
        "attention": attention,
        "loss": loss,
    }
    turned = {knob: value for knob, value in turned.items() if value is not None}
    if name in BASELINES:
        baseline = BASELINES[name]
        arm = _turned(baseline, Knobs(**turned))
    else:
        baseline, arm = _find(name)
        for knob, value in turned.items():
            if value != getattr(arm.knobs, knob):
                raise SettingsError(
                    f"Recipe {name!r} is the one with {knob}={getattr(arm.knobs, knob)!r}; for "
                    f"another, turn the knobs of {baseline.name!r}."
                )
    return _recipe(baseline, arm, small)


def _recipe(baseline: Baseline, arm: Arm, small: bool) -> Recipe:
    settings = _fed(baseline.settings(small), arm.knobs)
    reads = captioners.reads(settings.captioner, settings.source, **settings.sizes)
    larger = None
    if arm.as_large_as is not None:
        larger = _fed(baseline.settings(small), arm.as_large_as)
    before = None
    if arm.knobs.loss == "self-critical":
        first = _turned(baseline, replace(arm.knobs, loss="cross-entropy"))
        before = f"{baseline.name}-{first.name}"
        settings = baseline.self_critical(settings, small)
    return Recipe(
        name=f"{baseline.name}-{arm.name}",
        baseline=baseline.name,
        arm=arm.name,
        says=arm.says,
        features=baseline.features,
        settings=settings,
        knobs=arm.knobs,
        small=small,
        concepts=("another's" if arm.others_concepts else "own") if reads - {"regions"} else "none",
        probes=arm.probes,
        as_large_as=larger,
        begins_with=before,
    )


def _fed(settings: RunSettings, knobs: Knobs) -> RunSettings:
    return replace(settings, source=knobs.source, sizes=settings.sizes | knobs.sizes())


def _arms(baseline: Baseline) -> tuple[Arm, ...]:
    sources = captioners.sources(baseline.captioner)
    fed = {name: says for name, says in _FED.items() if name in sources}
    ours = [Arm(name, Knobs(source=name), says) for name, says in fed.items()]
    if baseline.optimised:
        ours += [
            Arm(f"{name}-self-critical", Knobs(source=name, loss="self-critical"), f"{says}, RL")
            for name, says in fed.items()
        ]
    return (*ours, *controls(sources, baseline.refined))


def _turned(baseline: Baseline, knobs: Knobs) -> Arm:
    """Find the arm of these knobs, or make one up whose name says them."""
    sources = captioners.sources(baseline.captioner)
    if knobs.source not in sources:
        raise SettingsError(
            f"{baseline.name} cannot be fed {knobs.source!r}.{nearest(knobs.source, sources)} "
            f"It takes: {', '.join(sources)}."
        )
    for arm in _arms(baseline):
        if arm.knobs == knobs and arm.of_knobs_alone:
            return arm
    parts = [knobs.source, *knobs.turned()]
    if knobs.loss != LOSSES[0]:
        parts.append(knobs.loss)
    return Arm("-".join(parts), knobs, f"knobs: {', '.join(parts)}")


def _all() -> Iterator[tuple[Baseline, Arm]]:
    for baseline in BASELINES.values():
        for arm in _arms(baseline):
            yield baseline, arm


def _find(name: str) -> tuple[Baseline, Arm]:
    for baseline, arm in _all():
        if name == f"{baseline.name}-{arm.name}":
            return baseline, arm
    raise _unknown(name)


def _unknown(name: str) -> MiacapError:
    """List the arms of a known baseline, else the baselines; the nearest is sought among all.

    A table of the paper is no recipe, but its rows are.
    """
    near = [*names(), *BASELINES, *paper.PLACES]
    for table in paper.PLACES:
        if _plain(name) == _plain(table):
            rows = ", ".join(dict.fromkeys(row.recipe for row in paper.place(table)))
            return SettingsError(f"{table} is no recipe; recipes that stand for its rows: {rows}.")
    for baseline in BASELINES.values():
        if name.startswith(f"{baseline.name}-"):
            arms = [f"{baseline.name}-{arm.name}" for arm in _arms(baseline)]
            return UnknownName("recipe", name, arms, near)
    return UnknownName("recipe", name, BASELINES, near)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
