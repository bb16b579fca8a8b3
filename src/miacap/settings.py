"""Frozen settings <-> JSON, with an error that names the wrong setting and the nearest known one.

Settings are frozen dataclasses whose fields are bool, int, float, str, None,
tuples of these, Literal choices, dictionaries of strings, unions, or other settings. Where one
of several kinds of settings may stand, each has a field `kind` of one Literal choice, and a
mapping's `kind` says which of them it is.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from miacap.errors import DataError, SettingsError, nearest
from miacap.reading import NotJson, parse_json
from miacap.wording import counted

S = TypeVar("S")

_TAG = "kind"
_MOST = 2**53


def to_json(settings: Any) -> dict[str, Any]:
    """Give settings as a mapping that JSON can hold; tuples become lists."""
    if not dataclasses.is_dataclass(settings) or isinstance(settings, type):
        raise TypeError(f"not settings: {settings!r}")
    return {f.name: _plain(getattr(settings, f.name)) for f in dataclasses.fields(settings)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


def from_json(cls: type[S], mapping: Any, where: str) -> S:
    """Build settings of type `cls` from a mapping.

    Args:
        cls: a frozen dataclass.
        mapping: what JSON gave.
        where: the file or option that it came from, for the message.

    Raises:
        SettingsError: an unknown name (with the nearest known one), a missing
            one, a wrong type, or whatever the dataclass itself refuses.
    """
    if not isinstance(mapping, Mapping):
        raise SettingsError(f"{where}: expected settings (name: value), got {_short(mapping)}.")
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in mapping:
        if name not in fields:
            raise SettingsError(
                f"{where}: unknown setting {name!r}.{nearest(str(name), fields)} "
                f"Known: {', '.join(fields)}."
            )
    hints = typing.get_type_hints(cls)
    values = {
        name: _convert(hints[name], mapping[name], f"{where}: {name}")
        for name in fields
        if name in mapping
    }
    missing = [
        name
        for name, f in fields.items()
        if name not in mapping
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise SettingsError(f"{where}: missing: {', '.join(map(repr, missing))}.")
    try:
        return cls(**values)
    except (SettingsError, ValueError) as error:
        raise SettingsError(f"{where}: {error}") from None


@dataclasses.dataclass(frozen=True)
class Difference:
    """A setting that differs between two trees of settings; values as a message shows them."""

    name: str
    """In full: "objective.baseline"."""
    old: str
    new: str
    advice: str
    """What goes on with the old ones."""

    def __str__(self) -> str:
        return f"{self.name} = {self.old}, not {self.new}"


def first_difference(old: Any, new: Any, path: str = "") -> Difference | None:
    """Find the first setting that differs between two trees, as `to_json` gives them.

    Where settings of one kind stand in place of those of another, the kind is what differs.

    Args:
        old: one tree; None is one without settings.
        new: the other.
        path: full name of the settings that are compared; empty: all.
    """
    there, here = _as_mapping(old), _as_mapping(new)
    for name in sorted({**there, **here}, key=lambda name: name != _TAG):  # the kind first
        full = f"{path}.{name}" if path else name
        values = [tree[name] for tree in (there, here) if name in tree]
        if len(values) == 2 and values[0] == values[1]:
            continue
        if any(isinstance(value, Mapping) for value in values):
            inner = first_difference(there.get(name), here.get(name), full)
            if inner is not None:
                return inner
        before, after = (_short(t[name]) if name in t else "unset" for t in (there, here))
        kind = there[name] if name == _TAG and name in there else None
        same = "take the same settings" if kind is None else f"add --set {path}={kind}"
        return Difference(full, before, after, f"{same} to go on")
    return None


def override(
    settings: S,
    assignments: Iterable[str],
    where: str = "--set",
    further: Iterable[str] = (),
    decided: Mapping[str, str] | None = None,
) -> S:
    """Apply `name=value` assignments; dots reach into nested settings.

    Values are read as JSON and, where that fails, as text. The name of another kind of settings
    (`objective=self-critical`) gives the defaults of that kind.

    Args:
        settings: what is changed.
        assignments: `name=value`, as somebody typed them.
        where: the option, for the message.
        further: full names that the settings take without showing them ("sizes.width").
        decided: names that something else decides, with what does: they are refused.

    Raises:
        SettingsError: a name that is not there (with the nearest one, however deep) or that is
            decided elsewhere, a value that does not fit, or a key twice in one object.
    """
    tree = to_json(settings)
    # What holds settings comes before what it holds, in whatever order they are given: a kind
    # ("objective=self-critical") decides which settings there are ("objective.baseline=beam").
    for assignment in sorted(assignments, key=_depth):
        name, sign, text = assignment.partition("=")
        if not sign:
            raise SettingsError(f"{where} {assignment}: write name=value.")
        *path, last = name.strip().split(".")
        if (decider := (decided or {}).get([*path, last][0])) is not None:
            raise SettingsError(f"{where} {name.strip()}: cannot be set: {decider}.")
        if not path and last not in tree:
            raise SettingsError(
                f"{where}: unknown setting {last!r}.{_nearest(last, [*_full(tree), *further])} "
                f"Known: {', '.join(tree)}."
            )
        branch = tree
        for part in path:
            inner = branch.get(part)
            if not isinstance(inner, dict):
                raise SettingsError(
                    f"{where} {assignment}: {part!r} holds no settings."
                    f"{nearest(part, [k for k, v in branch.items() if isinstance(v, dict)])}"
                )
            branch = inner
        if path and last not in branch:
            _refuse_other_kind(type(settings), path, last, branch, where)
        value = _read(text, f"{where} {name.strip()}")
        kind = _as_mapping(branch.get(last)).get(_TAG)
        if isinstance(value, str) and kind == value:
            pass  # the kind that is there already: its settings stay as they are
        elif isinstance(value, str) and kind is not None:
            # Another kind of settings: its defaults are filled in, for names that lie in them.
            branch[last] = {_TAG: value}
            tree = to_json(from_json(type(settings), tree, where))
        else:
            branch[last] = value
    return from_json(type(settings), tree, where)


def _depth(assignment: str) -> int:
    """Count how deep an assignment reaches: 0 of "a=1", 1 of "a.b=1"."""
    return assignment.partition("=")[0].count(".")


def _refuse_other_kind(
    cls: type, path: list[str], name: str, branch: Mapping[str, Any], where: str
) -> None:
    """Refuse a setting that another kind of these settings has, and say which kind it is."""
    choices: list[Any] = [cls]
    for part in path:
        hints = [typing.get_type_hints(choice).get(part) for choice in choices]
        several = [one for hint in hints for one in (typing.get_args(hint) or (hint,))]
        choices = [
            one for one in several if isinstance(one, type) and dataclasses.is_dataclass(one)
        ]
    for choice in choices:
        kind = _tag(choice)
        if kind is not None and name in {f.name for f in dataclasses.fields(choice)}:
            dotted = ".".join(path)
            raise SettingsError(
                f"{where}: {dotted}: unknown setting {name!r} of {branch.get(_TAG)}; {kind} has "
                f"it: add {where} {dotted}={kind}."
            )


def check_at_least(least: float, **numbers: float | None) -> None:
    """Refuse numbers below `least`, of 2^53 or more, and NaN; None is left alone.

    Raises:
        SettingsError: names the number.
    """
    for name, number in numbers.items():
        # Beyond 2^53 other programs that read the JSON would round it.
        if number is not None and not least <= number < _MOST:
            bound = f"at least {least}" if not number >= _MOST else "below 2^53"
            raise SettingsError(f"{name} is {bound}, not {_short(number)}.")


def check_at_most(most: float, **numbers: float | None) -> None:
    """Refuse numbers above `most`, and NaN; None is left alone. Raises SettingsError."""
    for name, number in numbers.items():
        if number is not None and not number <= most:
            raise SettingsError(f"{name} is at most {most:,}, not {_short(number)}.")


def check_pixels(**sizes: int | tuple[int, int] | None) -> None:
    """Require sizes of a network's input, a side or height and width; None passes.

    Raises SettingsError naming the setting.
    """
    for name, size in sizes.items():
        sides = (size,) if isinstance(size, int) else (size or ())
        if not all(32 <= side <= 4096 for side in sides):
            raise SettingsError(f"{name} is 32 to 4096 pixels, not {size}.")


def check_share(**numbers: float | None) -> None:
    """Refuse numbers that are not in [0, 1); None is left alone. Raises SettingsError."""
    for name, number in numbers.items():
        if number is not None and not 0 <= number < 1:
            raise SettingsError(f"{name} lies in [0, 1), not {_short(number)}.")


def check_seed(seed: int) -> None:
    """Refuse seeds that torch, numpy and JSON do not all hold. Raises SettingsError."""
    if not 0 <= seed < _MOST:
        raise SettingsError(f"seed lies in [0, 2^53), not {_short(seed)}.")


def _full(tree: Mapping[str, Any]) -> Iterator[str]:
    """Give every setting's full name: "epochs" within "training" is "training.epochs"."""
    for name, value in tree.items():
        yield name
        yield from (f"{name}.{inner}" for inner in _full(_as_mapping(value)))


def _nearest(name: str, full_names: Iterable[str]) -> str:
    """Offer the setting that is most similar in its own name, however deep it lies."""
    by_last: dict[str, str] = {}
    for full in full_names:
        by_last.setdefault(full.rpartition(".")[2], full)
    hint = nearest(name, by_last)
    for last, full in by_last.items():
        hint = hint.replace(repr(last), repr(full))
    return hint


def _as_mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _read(text: str, where: str) -> Any:
    """Read a value as JSON or, where it is none, as text; JSON beyond the limits is refused."""
    try:
        return parse_json(text, where)
    except NotJson:
        return text
    except DataError as error:  # a key twice, nested too deeply, a number of too many digits
        raise SettingsError(str(error)) from None


def _short(value: Any) -> str:
    """Show a value in a message, not all of it where it is long."""
    try:
        text = repr(value)
    except ValueError:  # a number of thousands of digits
        return "a number that is far too long"
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is typing.Union or origin is types.UnionType:
        return _convert_union(typing.get_args(hint), value, where)
    if origin is typing.Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            names = [str(choice) for choice in choices]
            raise SettingsError(
                f"{where} is one of {', '.join(names)}, not {_short(value)}."
                f"{nearest(str(value)[:80], names)}"
            )
        return value
    if origin is tuple:
        return _convert_tuple(typing.get_args(hint), value, where)
    if origin in (dict, Mapping) or hint is dict or str(origin).endswith("Mapping'>"):
        if not isinstance(value, Mapping):
            raise SettingsError(f"{where} is a mapping, not {_short(value)}.")
        return dict(value)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_json(hint, value, where)
    return _convert_scalar(hint, value, where)


def _convert_union(hints: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in hints:
        return None
    kinds = {_tag(hint): hint for hint in hints if hint is not type(None)}
    if None not in kinds:
        return _convert_tagged(kinds, value, where)
    errors = []
    for hint in hints:
        if hint is type(None):
            continue
        try:
            return _convert(hint, value, where)
        except SettingsError as error:
            errors.append(error)
    raise errors[0]


def _tag(hint: Any) -> str | None:
    """Give the one choice of a settings type's field `kind`, or None where it has no such."""
    if not (isinstance(hint, type) and dataclasses.is_dataclass(hint)):
        return None
    choices = typing.get_args(typing.get_type_hints(hint).get(_TAG))
    return choices[0] if len(choices) == 1 and isinstance(choices[0], str) else None


def _convert_tagged(kinds: Mapping[str | None, Any], value: Any, where: str) -> Any:
    names = [str(name) for name in kinds]
    if not isinstance(value, Mapping) or _TAG not in value:
        raise SettingsError(
            f"{where}: expected settings with a {_TAG} ({', '.join(names)}), got {_short(value)}."
        )
    given = value[_TAG]
    if not isinstance(given, str) or given not in kinds:
        raise SettingsError(
            f"{where}: {_TAG} is one of {', '.join(names)}, not {_short(given)}."
            f"{nearest(str(given)[:80], names)}"
        )
    return from_json(kinds[given], value, where)


def _convert_tuple(hints: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, list | tuple):
        raise SettingsError(f"{where} is a list, not {_short(value)}.")
    if len(hints) == 2 and hints[1] is Ellipsis:
        return tuple(_convert(hints[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if len(hints) != len(value):
        raise SettingsError(
            f"{where} has {counted(len(hints), 'entry', 'entries')}, not {len(value)}."
        )
    return tuple(
        _convert(h, v, f"{where}[{i}]") for i, (h, v) in enumerate(zip(hints, value, strict=True))
    )


def _convert_scalar(hint: Any, value: Any, where: str) -> Any:
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    if hint not in kinds:
        raise TypeError(f"{where}: settings cannot hold {hint!r}")
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if _is_finite(value):
            return float(value)
    elif isinstance(value, hint) and (hint is not int or not isinstance(value, bool)):
        return value
    raise SettingsError(f"{where} is {kinds[hint]}, not {_short(value)}.")


def _is_finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False
