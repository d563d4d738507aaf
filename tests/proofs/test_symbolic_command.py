"""``orderdp-theory prove``: output, selection, exit codes."""

from dataclasses import replace

import pytest
from orderdp_theory.proofs.symbolic import CERTIFICATES

from orderdp_theory.cli.app import app
from orderdp_theory.common.command import run


def status(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        run(app, ["prove", *arguments])
    return stop.value.code


def test_every_certificate_is_explained(capsys: pytest.CaptureFixture[str]):
    assert status() == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in CERTIFICATES)
    assert "✓" in printed
    assert "✗" not in printed
    assert "every certificate checks" in printed


def test_named_certificates_only(capsys: pytest.CaptureFixture[str]):
    assert status("telescoping") == 0
    printed = capsys.readouterr().out
    assert "Gosper" in printed
    assert "horvitz-thompson" not in printed


def test_broken_certificate_is_status_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    good = CERTIFICATES["telescoping"]
    witness = {entry: -expr for entry, expr in good.witness.items()}
    monkeypatch.setitem(CERTIFICATES, "telescoping", replace(good, witness=witness))
    assert status("normalization", "telescoping") == 1
    printed = capsys.readouterr().out
    assert "✗" in printed
    assert "not proved: telescoping" in printed


def test_unknown_name_is_status_2(capsys: pytest.CaptureFixture[str]):
    assert status("fermat") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: no certificate is called fermat; choose from theorem-1")
    assert err.count("\n") == 1
