"""Pictures of a store are met in either Unicode form."""

import pickle
import unicodedata
from pathlib import Path

import pytest
import torch

from miacap.data import FeatureStore, Manifest, Preprocessing, StoreWriter
from miacap.data.spelling import ByForm
from miacap.errors import DataError

NFC, NFD = (unicodedata.normalize(form, "café.jpg") for form in ("NFC", "NFD"))


def test_a_name_is_found_as_it_is_written_first() -> None:
    both = ByForm({NFD: 1, NFC: 2, "a": 3})
    assert (both[NFD], both[NFC], both["a"]) == (1, 2, 3)
    one = ByForm({NFD: 1})
    assert (one[NFC], one.get(NFC), one.get("b"), one.get("é", 7)) == (1, 1, None, 7)
    assert NFC in one and NFD in one and "é" not in one and "b" not in one and 3 not in one
    with pytest.raises(KeyError, match="b"):
        one["b"]
    assert pickle.loads(pickle.dumps(one))[NFC] == 1  # noqa: S301


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    manifest = Manifest(
        kind="regions",
        preprocessing=Preprocessing(backbone="b", weights_sha256="0" * 64),
        width=2,
        words=None,
        extractor=None,
        made_by="test",
    )
    with StoreWriter(tmp_path / "store", manifest) as writer:
        writer.add(NFD, torch.ones(3, 2))
        writer.set_aside(f"broken-{NFD}", "broken")
    return FeatureStore.open(tmp_path / "store")


def test_a_store_of_decomposed_names_meets_composed_ids(store: FeatureStore) -> None:
    assert NFC in store and NFD in store and f"broken-{NFC}" not in store
    assert store.rows(NFC).tolist() == store.rows(NFD).tolist() == [[1, 1]] * 3
    assert store.boxes(NFC) is None
    store.require([NFC, NFD])
    assert store.set_aside[f"broken-{NFC}"] == "broken"
    assert store.names == (NFD,)
    with pytest.raises(DataError, match="1 of them was set aside"):
        store.rows(f"broken-{NFC}")
    assert NFC in pickle.loads(pickle.dumps(store))  # noqa: S301
