"""Five captions of a scene, each worded otherwise, each true.

Every caption names things, an attribute (colour or size), a count and a relation: to another
group of things where the geometry gives one, always to the place.
"""

from collections.abc import Sequence

from miacap.data.scenes.composing import Chance, Scene, Thing

Group = tuple[Thing, ...]

_NUMBERS = ("", "one", "two", "three", "four", "five")
_ONE = ("one", "a single", "one", "a lone")
_SIZES = {"small": ("small", "little", "tiny"), "large": ("big", "large", "huge")}
_VIEWS = ("a picture of", "a drawing of", "a scene with", "a view of")
# Relation of A to B, in two wordings, and the same seen from B.
_RELATIONS: dict[str, tuple[str, ...]] = {
    "left": ("to the left of", "left of"),
    "right": ("to the right of", "right of"),
    "above": ("above", "high over"),
    "below": ("below", "under"),
    "front": ("in front of",),
    "behind": ("behind",),
    "next": ("next to", "beside"),
    "near": ("near", "close to"),
    "far": ("far from", "far away from"),
}
_INVERSE = {
    "left": "right", "right": "left", "above": "below", "below": "above", "front": "behind",
    "behind": "front", "next": "next", "near": "near", "far": "far",
}  # fmt: skip


def captions(scene: Scene, chance: Chance) -> tuple[str, ...]:
    """Give five captions: a capital first, a full stop last, nothing else to tokenise.

    Args:
        scene: with at least one group of things.
        chance: for the wording alone.
    """
    writers = (_plain, _place_first, _there_is, _view, _second_first)
    result: list[str] = []
    for writer in writers:
        for _ in range(20):
            words = " ".join(writer(scene, chance).split())
            caption = f"{words[0].upper()}{words[1:]}."
            if caption not in result:
                break
        result.append(caption)
    return tuple(result)


def _plain(scene: Scene, chance: Chance) -> str:
    """Two red balls lie next to a small dog on the grass."""
    first, phrase = scene.groups[0], chance.pick(scene.place.phrases)
    if len(scene.groups) == 1:
        return f"{_name(first, chance, True)} {_does(first, chance)} {phrase}"
    second = scene.groups[1]
    relation = chance.pick(_RELATIONS[_relation(first, second)])
    return (
        f"{_name(first, chance, _lonely(scene))} {_does(first, chance)} {relation} "
        f"{_name(second, chance)} {phrase}"
    )


def _place_first(scene: Scene, chance: Chance) -> str:
    """On the grass, a small dog is to the left of two red balls."""
    phrase = chance.pick((*scene.place.phrases, *scene.place.under))
    first = scene.groups[0]
    if len(scene.groups) == 1:
        return f"{phrase} {_is(first)} {_name(first, chance, True)}"
    second = scene.groups[1]
    relation = chance.pick(_RELATIONS[_INVERSE[_relation(first, second)]])
    return (
        f"{phrase}, {_name(second, chance, _lonely(scene))} {_is(second)} {relation} "
        f"{_name(first, chance)}"
    )


def _there_is(scene: Scene, chance: Chance) -> str:
    """There are two red balls, a dog and a tree on the grass."""
    names = [_name(g, chance, _lonely(scene) and not n) for n, g in enumerate(scene.groups)]
    return (
        f"there {_is(scene.groups[0])} {_listed(names)} {chance.pick(scene.place.phrases)} "
        f"{chance.pick(('', chance.pick(scene.place.under)))}"
    )


def _view(scene: Scene, chance: Chance) -> str:
    """A picture of two red balls next to a small dog, with a tree, under a blue sky."""
    first = scene.groups[0]
    under = chance.pick(scene.place.under)
    name = _name(first, chance, _lonely(scene))
    if len(scene.groups) == 1:
        return f"{chance.pick(_VIEWS)} {name} {under}"
    second = scene.groups[1]
    relation = chance.pick(_RELATIONS[_relation(first, second)])
    third = f"and {_name(scene.groups[2], chance)}" if len(scene.groups) > 2 else ""
    return f"{chance.pick(_VIEWS)} {name} {relation} {_name(second, chance)} {third} {under}"


def _second_first(scene: Scene, chance: Chance) -> str:
    """A dog stands on the grass and three red balls lie in front of it."""
    phrase = chance.pick(scene.place.phrases)
    if len(scene.groups) == 1:
        only = scene.groups[0]
        return f"{_name(only, chance, True)} {phrase} {chance.pick(scene.place.under)}"
    first, second = scene.groups[:2]
    relation = chance.pick(_RELATIONS[_relation(first, second)])
    them = "it" if len(second) == 1 and not second[0].kind.worn else "them"
    if len(second) == 1 and second[0].kind.worn:
        them = "her" if second[0].kind.name == "girl" else "him"
    return (
        f"{_name(second, chance, _lonely(scene))} {_does(second, chance)} {phrase} and "
        f"{_name(first, chance)} {_is(first)} {relation} {them}"
    )


def _lonely(scene: Scene) -> bool:
    """Whether no group has a number of its own, so that "one" has to be said."""
    return all(len(group) == 1 for group in scene.groups[:2])


def _name(group: Group, chance: Chance, counted: bool = False) -> str:
    """Two small red balls; a girl in a blue dress."""
    thing, count = group[0], len(group)
    several = count > 1
    size = chance.pick(_SIZES[thing.size]) if thing.size in _SIZES else ""
    if size and chance.number() < 0.3:
        size = ""
    kind = thing.kind
    names = (kind.name, kind.plural)
    if kind.other and chance.number() < 0.35:
        names = kind.other
    noun = names[1] if several else names[0]
    if kind.worn:
        worn = kind.worn[1] if several else with_article(f"{thing.colour} {kind.worn[0]}")
        clothes = f"in {thing.colour} {worn}" if several else f"in {worn}"
        phrase = f"{size} {noun} {clothes}"
    elif size and chance.number() < 0.2:
        phrase = f"{size} {noun}"
    else:
        phrase = f"{size} {thing.colour} {noun}"
    phrase = phrase.strip()
    if several:
        return f"{_NUMBERS[count]} {phrase}"
    return f"{chance.pick(_ONE)} {phrase}" if counted else with_article(phrase)


def with_article(phrase: str) -> str:
    """Put "a" or "an" before a phrase."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _is(group: Group) -> str:
    return "are" if len(group) > 1 else "is"


def _does(group: Group, chance: Chance) -> str:
    verb = chance.pick(group[0].kind.verbs)
    if len(group) == 1:
        return verb
    first, _, rest = verb.partition(" ")
    if first == "is":
        return f"are {rest}"
    if first.endswith("ies") and len(first) > 4:
        return f"{first[:-3]}y"
    return first[:-1]


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _relation(first: Group, second: Group) -> str:
    """How the first group lies to the second; what is said holds for every pair of them."""
    a, b = _around(first), _around(second)
    over = first[0].kind.layer == "air", second[0].kind.layer == "air"
    if over == (True, False) and a[3] <= b[1] + 0.02:
        return "above"
    if over == (False, True) and b[3] <= a[1] + 0.02:
        return "below"
    gap = max(a[0], b[0]) - min(a[2], b[2])
    if over == (False, False) and gap < -0.04:
        if min(t.box[3] for t in first) > max(t.box[3] for t in second) + 0.03:
            return "front"
        if max(t.box[3] for t in first) < min(t.box[3] for t in second) - 0.03:
            return "behind"
    beside = abs(a[3] - b[3]) < 0.12
    if -0.06 < gap < 0.14 and beside and len(first) <= 2 and len(second) <= 2:
        return "next"
    # Less than half of the narrowest thing, so that middles stay in order.
    if a[2] <= b[0] + 0.04:
        return "left"
    if b[2] <= a[0] + 0.04:
        return "right"
    distance = abs((a[0] + a[2]) - (b[0] + b[2])) / 2 + abs((a[1] + a[3]) - (b[1] + b[3])) / 2
    return "near" if distance < 0.5 else "far"


def _around(group: Group) -> tuple[float, float, float, float]:
    """The box around all things of a group."""
    x0, y0, x1, y1 = zip(*(thing.box for thing in group), strict=True)
    return min(x0), min(y0), max(x1), max(y1)
