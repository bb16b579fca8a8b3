"""Names of pictures, matched in whichever Unicode form they are written.

Readers give ids in NFC; a store that was made from names in NFD (as some file systems have them)
holds the same pictures under other code points.
"""

from typing import Any, TypeVar

from miacap.tables.names import same_form

Value = TypeVar("Value")


class ByForm(dict[str, Value]):
    """Names to values; a name that is not there as it is written is sought by its Unicode form.

    Names are not added after it was made. Where two of them differ by their form alone, each is
    found as it is written, and any other spelling finds the first.
    """

    def __init__(self, values: dict[str, Value]) -> None:
        super().__init__(values)
        self._names: dict[str, str] = {}
        for name in values:
            if not name.isascii():
                self._names.setdefault(same_form(name), name)

    def __missing__(self, name: str) -> Value:
        return self[self._names[same_form(name)]]

    def __contains__(self, name: object) -> bool:
        if super().__contains__(name):
            return True
        return isinstance(name, str) and not name.isascii() and same_form(name) in self._names

    def get(self, name: str, default: Any = None) -> Any:
        """Give the value of a name, or the default."""
        try:
            return self[name]
        except KeyError:
            return default

    def __reduce__(self) -> Any:
        return ByForm, (dict(self),)
