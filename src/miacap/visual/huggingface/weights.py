"""Networks of transformers filled with the tensors of a folder, and what was lacking."""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from miacap import weights
from miacap.errors import MissingExtra, RunError
from miacap.visual.huggingface.folder import ModelFolder

_LISTED = 4


@dataclass(frozen=True)
class Filled:
    """A network with its weights.

    Attributes:
        network: in single precision and eval mode.
        missing: parameters that the file has no tensor for; they hold NaN.
        unused: tensors of the file that the network has no parameter for.
    """

    network: nn.Module
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def lacking(self, name: str) -> RunError:
        """Say which weights are lacking."""
        more = f"; the file has {listed(self.unused)} instead" if self.unused else ""
        return RunError(
            f"The backbone {name}: its file of weights lacks {listed(self.missing)}{more}. Choose "
            "the folder of this network, or copy the file again."
        )


def library(what: str) -> Any:
    """Import transformers. Raises MissingExtra."""
    try:
        import transformers
    except ImportError:
        raise MissingExtra("hf", what) from None
    return transformers


def configuration(folder: ModelFolder) -> Any:
    """Give the library's settings of a folder's network.

    Raises:
        RunError: a kind that the library does not know, or settings that make no sense.
    """
    library(f"The model in {folder.path}")
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = folder.config.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        own = "; it brings its own code, which is never run" if "auto_map" in folder.config else ""
        raise RunError(
            f"{folder.path}: transformers knows no model of type {str(kind)[:60]!r}{own}. Choose "
            "another model, or install a newer transformers."
        )
    try:
        # What would make the library look elsewhere is none of the network's settings.
        values = {k: v for k, v in folder.config.items() if k != "auto_map" and k[:1] != "_"}
        with quiet():
            return CONFIG_MAPPING[kind].from_dict(values)
    except Exception as error:  # each kind of model checks its settings in its own way
        raise RunError(
            f"{folder.path}: its config.json makes no sense ({str(error)[:200]})."
        ) from None


def build(kind: Any, config: Any, folder: ModelFolder) -> Filled:
    """Build a network and fill it from a folder.

    Args:
        kind: a class of transformers.
        config: its settings.
        folder: where the tensors are.

    Raises:
        RunError: tensors of other shapes, or a network that cannot be built.
        SettingsError: more than the memory that is left.
    """
    what = f"the model in {folder.path}"
    attention = "sdpa" if getattr(kind, "_supports_sdpa", False) else "eager"
    with quiet():
        try:
            weights.require_memory(lambda: kind(config), what)
            network, told = kind.from_pretrained(
                None, config=config, state_dict=folder.tensors(), output_loading_info=True,
                ignore_mismatched_sizes=True, attn_implementation=attention,
            )  # fmt: skip
        except (ValueError, TypeError, RuntimeError, AttributeError, KeyError) as error:
            raise RunError(
                f"{folder.path}: its network cannot be built ({str(error)[:200]})."
            ) from None
    if told["mismatched_keys"]:
        name, has, wants = sorted(told["mismatched_keys"])[0]
        raise RunError(
            f"{folder.path}: the weights {name!r} have shape {list(has)}, and config.json asks for "
            f"{list(wants)}; copy the folder again."
        )
    network = network.float().eval()
    missing = tuple(sorted(told["missing_keys"]))
    _mark(network, missing)
    return Filled(network, missing, tuple(sorted(told["unexpected_keys"])))


def _mark(network: nn.Module, missing: Sequence[str]) -> None:
    """Fill parameters that have no weights with NaN: whatever they reach, shows it."""
    state = network.state_dict()
    for name in missing:
        if name in state and state[name].is_floating_point():
            state[name].fill_(float("nan"))


def listed(names: Sequence[str]) -> str:
    """Name the first few."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(repr, names[:_LISTED])) + more


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the library from printing; what matters is said by us."""
    told: Any = library("A model").utils.logging
    level, bars = told.get_verbosity(), told.is_progress_bar_enabled()
    told.set_verbosity(logging.CRITICAL)
    told.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        told.set_verbosity(level)
        if bars:
            told.enable_progress_bar()
