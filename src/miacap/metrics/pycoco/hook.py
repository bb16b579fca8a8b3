"""Serve code that imports pycocoevalcap or pyciderevalcap and cannot be edited.

    from miacap.metrics import pycoco
    pycoco.install()        # before that code is imported
    import their_script     # its `from pycocoevalcap.eval import COCOEvalCap` gets ours
    pycoco.uninstall()

It is an import hook: while it is installed, the names below are found here, whatever is installed
under them; nothing on disk changes. What was imported before keeps what it got.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_OURS = "miacap.metrics.pycoco"
_SAME = (
    "bleu bleu.bleu bleu.bleu_scorer cider cider.cider cider.cider_scorer eval meteor "
    "meteor.meteor rouge rouge.rouge spice spice.spice tokenizer tokenizer.ptbtokenizer"
)
_SERVED = {
    "pycocoevalcap": _OURS,
    **{f"pycocoevalcap.{name}": f"{_OURS}.{name}" for name in _SAME.split()},
    "pyciderevalcap": _OURS,
    "pyciderevalcap.ciderD": f"{_OURS}.ciderd",
    "pyciderevalcap.ciderD.ciderD": f"{_OURS}.ciderd",
}
_ROOTS = ("pycocoevalcap", "pyciderevalcap")


class _Names(Loader):
    """Fill a module with the names of ours; classes stay the same objects."""

    def exec_module(self, module: ModuleType) -> None:
        ours = importlib.import_module(_SERVED[module.__name__])
        inside = {f"{_OURS}.{name}" for name in _SAME.split()}
        module.__doc__ = ours.__doc__
        for name, value in vars(ours).items():
            # Not the submodules: they are imported under the served name.
            if not name.startswith("__") and getattr(value, "__name__", None) not in inside:
                setattr(module, name, value)


class _Finder(MetaPathFinder):
    """Find the served names, and say of their unknown parts that there are none."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _SERVED:
            return None
        # Any of them may be a package: an empty path finds no file of another one.
        return ModuleSpec(fullname, _Names(), is_package=True)


_finder = _Finder()
_before: dict[str, ModuleType] = {}


def install() -> None:
    """Let imports of pycocoevalcap and pyciderevalcap find miacap's stand-ins; twice is once."""
    if _finder in sys.meta_path:
        return
    from miacap.metrics.meteor import sources

    sources.locate()  # its tables lie in the package that is hidden from now on
    _before.update(_take_out())
    sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    """Undo `install`: imports find what they found before."""
    if _finder not in sys.meta_path:
        return
    sys.meta_path.remove(_finder)
    _take_out()
    sys.modules.update(_before)
    _before.clear()


def _take_out() -> dict[str, ModuleType]:
    """Take all modules of the served packages out of those that are imported."""
    names = [name for name in sys.modules if name.partition(".")[0] in _ROOTS]
    return {name: sys.modules.pop(name) for name in names}
