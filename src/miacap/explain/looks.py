"""A look at a photo: what was measured, and how to have it as a page."""

from dataclasses import dataclass

from miacap.explain.page import page
from miacap.explain.record import Record

__all__ = ["Look"]


@dataclass(frozen=True)
class Look(Record):
    """What one run, or an ensemble, did with one photo.

    A record that draws itself.
    """

    def page(self, beside: Record | None = None, *, title: str = "", credit: str = "") -> str:
        """Give an HTML page of this look, or of this and another at the same photo.

        Args:
            beside: another run's look at the photo.
            title: of the page.
            credit: who made the photo, and under which licence.

        Raises:
            MissingExtra: Jinja2 is not installed.
            SettingsError: looks at different photos, or too much for a page.
        """
        return page([self] if beside is None else [self, beside], title=title, credit=credit)
