"""Words of messages: numbers of things, right in the singular too, and the first few of many."""

from collections.abc import Iterable


def by_number(number: float, one: str, several: str) -> str:
    """Give the words for one thing or for several (or none)."""
    return one if number == 1 else several


def counted(number: int, one: str, several: str | None = None) -> str:
    """Write a number of things: "1 picture", "2 pictures"; "1 id is", "2 ids are".

    Args:
        number: how many.
        one: words for one.
        several: words for several; by default those for one with an s.
    """
    return f"{number} {by_number(number, one, f'{one}s' if several is None else several)}"


def part(number: int, total: int, what: str, one: str, several: str) -> str:
    """Write a part of things: "1 of 5 pictures is empty", "2 of 5 pictures are empty".

    Args:
        number: how many.
        total: of how many.
        what: one thing.
        one: what is said of one.
        several: what is said of several.
    """
    return f"{number} of {counted(total, what)} {by_number(number, one, several)}"


def all_of(number: int, what: str) -> str:
    """Write all things that there are: "the only picture", "all 5 pictures"."""
    return by_number(number, f"the only {what}", f"all {number} {what}s")


def none(number: int, what: str, whose: str = "its") -> str:
    """Write none of the things that there are: "not even its only photo", "none of its 5 photos".

    Args:
        number: how many there are.
        what: one thing.
        whose: "its" or "the".
    """
    return by_number(number, f"not even {whose} only {what}", f"none of {whose} {number} {what}s")


def singular(several: str) -> str:
    """Give one of "photos" or "batches"."""
    return several.removesuffix("es") if several.endswith("ches") else several.removesuffix("s")


def duration(seconds: float) -> str:
    """Write a time as a person says it: "48 s", "12 min", "3 h 20 min", "2 d 4 h"."""
    if seconds < 119.5:
        return f"{max(seconds, 0.0):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def first_lines(lines: Iterable[str], most: int) -> list[str]:
    """Give the first `most` lines and, where there are others, the line "and 7 more"."""
    every = list(lines)
    more = [f"and {len(every) - most:,} more"] if len(every) > most else []
    return every[:most] + more


def first_names(names: Iterable[str], most: int) -> str:
    """Write the first `most` names into a sentence: "a, b" or "a, b and 7 more"."""
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
