"""Numbers of things in messages, right in the singular too: "1 picture", "2 pictures"."""


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
