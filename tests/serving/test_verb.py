"""`miacap serve` before it serves: the extra, the address, and what it warns of."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from miacap.cli.application import _invoke
from miacap.errors import SettingsError
from miacap.serving import server

from .conftest import ask, run_folder

_WITHOUT = """
import sys
sys.modules[{name!r}] = None
from miacap.errors import MissingExtra
try:
    from miacap.serving import serve
except MissingExtra as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fastapi", "uvicorn", "python_multipart"])
def test_without_its_extra_it_says_what_to_install(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT.format(name=name)],
        capture_output=True,
        text=True,
        check=True,
    )
    said = "miacap serve needs the extra [serve]: pip install 'miacap[serve]'"
    assert done.stdout.strip() == said


def test_a_taken_port_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port}: cannot .* --port 0 for"):
            server.serve(tmp_path / "no-run", port=port)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("no.such.host.invalid", "no.such.host.invalid, port 0: cannot be listened on"),
        ("a..b", "a..b, port 0: cannot be listened on"),
        ("192.0.2.1", "192.0.2.1, port 0: cannot be listened on"),  # of no machine: RFC 5737
        ("", "--host is empty; "),
        (" ", "--host is empty; "),
    ],
)
def test_a_host_that_cannot_be_listened_on_is_said(host: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as told:
        server.serve(tmp_path / "no-run", port=0, host=host)
    assert str(told.value).startswith(said)
    assert "give an address of this machine" in str(told.value)
    assert "--port" not in str(told.value)


@pytest.mark.parametrize(
    ("host", "shown", "warns"), [("127.0.0.1", "127.0.0.1", False), ("0.0.0.0", "desk", True)]
)
def test_it_prints_its_address_and_warns_where_others_reach_it(
    host: str,
    shown: str,
    warns: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    served: list[Any] = []

    class Server:
        def __init__(self, config: Any) -> None:
            self.config = config

        def run(self, sockets: list[socket.socket]) -> None:
            served.append((self.config, sockets[0].getsockname()))

    monkeypatch.setattr(server.uvicorn, "Server", Server)
    monkeypatch.setattr(socket, "gethostname", lambda: "Desk")
    monkeypatch.setattr(socket, "getfqdn", lambda: "desk.example.org")
    monkeypatch.setattr("miacap.explain.looking.regions_for", lambda *_: None)
    monkeypatch.setattr("miacap.explain.looking.Inputs.of_photos", lambda *_, **__: None)
    folder = run_folder(tmp_path / "mine")
    name = ["--name", "captions.example.org"]
    assert _invoke(["serve", "--run", str(folder), "--port", "0", "--host", host, *name]) == 0
    ((config, (address, port)),) = served
    printed = capsys.readouterr()
    assert (address, printed.out) == (host, f"http://{shown}:{port}\n")
    assert ("can be reached from other machines" in printed.err) == warns
    assert "serving mine; Ctrl-C ends it." in printed.err
    assert (
        f"or http://desk.local:{port} or http://desk.example.org:{port}" in printed.err
    ) == warns
    assert config.h11_max_incomplete_event_size == 16_384
    own = {"desk", "desk.local", "desk.example.org"}
    for called in ("captions.example.org", *own):
        status = ask(config.app, "GET", "/health", headers={"host": f"{called}:{port}"}).status_code
        assert status == (200 if warns or called not in own else 421)
    assert not config.proxy_headers and not config.server_header


@pytest.mark.parametrize("name", ["https://a.example", "a.example:443", "a b", "", "[::1]"])
def test_what_is_no_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="is no name of a server; give it alone"):
        server.serve(tmp_path / "no-run", port=0, names=[name])


def test_without_a_run_it_says_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("miacap.runs.pretrained.installed", tuple)
    assert _invoke(["serve"]) == 2
    assert "the page needs a trained run" in capsys.readouterr().err
