"""Which Pythons the tests run on: the distribution's own among them, whatever patch it is."""

from __future__ import annotations

import sys
from functools import partial
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from house.tree import ROOT
from relay.running import eventually


@pytest.fixture
def dev() -> ModuleType:
    loader = SourceFileLoader("dev", str(ROOT / "dev"))
    spec = spec_from_loader("dev", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("here", "distribution", "expected"),
    [
        ((3, 11, 7), (3, 11, 2), [(3, 11, 2), (3, 12, 1), (3, 13, 0)]),
        ((3, 11, 2), (3, 11, 2), [(3, 12, 1), (3, 13, 0)]),
        ((3, 13, 0), (3, 13, 5), [(3, 11, 4), (3, 12, 1), (3, 13, 5)]),
        ((3, 12, 9), (3, 9, 2), [(3, 11, 4), (3, 12, 1), (3, 13, 0)]),
    ],
)
def test_the_distributions_own_python_is_among_them(
    dev: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    here: tuple[int, ...],
    distribution: tuple[int, ...],
    expected: list[tuple[int, ...]],
) -> None:
    there = {dev.DISTRIBUTION: distribution, "python3.11": (3, 11, 4), "python3.12": (3, 12, 1)}
    monkeypatch.setattr(dev, "version_of", {**there, "python3.13": (3, 13, 0)}.get)
    monkeypatch.setattr(dev, "HERE", here)
    assert list(dev.others()) == expected


def test_all_that_may_differ_runs_on_the_ends(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {(3, 11, 2): dev.DISTRIBUTION, (3, 12, 1): "python3.12", (3, 13, 0): "python3.13"}
    monkeypatch.setattr(dev, "HERE", (3, 11, 7))
    monkeypatch.setattr(dev, "others", lambda: found)
    monkeypatch.setattr(dev, "install", lambda *groups, python, folder: ROOT / folder)
    jobs = {title: command for title, _, command in dev.tests_on_others()}
    whole = [title for title, command in jobs.items() if "tests/engine" in command]
    assert whole == ["pytest on 3.11.2", "pytest on 3.13.0"]
    assert {command[command.index("-m") + 1] for command in jobs.values()} == {"not servers and not once"}
    assert all(dev.ELSEWHERE in command for command in jobs.values())
    assert not any("tests/house" in command or "tests/cli" in command for command in jobs.values())
    assert [title for title, command in jobs.items() if "tests/cli/test_login.py" in command] == whole[:1]
    assert {name for name in dev.TALKING if not (ROOT / f"tests/cli/test_{name}.py").is_file()} == set()
    assert "tests/transport" in jobs["pytest on 3.12.1"]
    waiting = (name for names in dev.APART.values() for name in names)
    named = {*dev.ONCE, *dev.BETWEEN, *dev.STARTED, *waiting}
    assert {name for name in named if not (ROOT / "tests" / name).is_dir()} == set()


def test_the_quick_part_leaves_out_house_rules_that_there_are_and_says_so(dev: ModuleType) -> None:
    assert [
        name for name in dev.RUNNING if not (ROOT / "tests" / "house" / f"test_{name}.py").is_file()
    ] == []
    assert "blocks of the docs" in " ".join((dev.__doc__ or "").split())


def test_this_machines_own_python_would_be_used(dev: ModuleType) -> None:
    version = dev.version_of(dev.DISTRIBUTION)
    assert version is None or version < dev.OLDEST or version == dev.HERE or version in dev.others()


STUBBORN = (
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('here', flush=True); time.sleep(600)"
)


def test_what_does_not_end_is_made_to_and_has_failed(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dev, "STOPPING", 1.0)
    monkeypatch.setattr(dev, "longest", lambda command: 5.0)
    here = partial(Path, sys.executable)
    with dev.beside([("stuck", here, ["python", "-c", STUBBORN])]):
        pass
    assert [(title, passed) for title, passed, _ in dev.STEPS] == [("stuck", False)]
    told = capsys.readouterr()
    assert "— stuck\nhere\n" in told.out
    assert "did not end within 5.0 s" in told.err


def test_who_stops_it_hears_what_was_said_until_then(
    dev: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / "mark"
    program = f"import pathlib, time; print('this far', flush=True); pathlib.Path({str(mark)!r}).touch()"
    beside = ("beside", partial(Path, sys.executable), ["python", "-c", f"{program}; time.sleep(600)"])

    def interrupted() -> None:
        with dev.beside([beside]):
            eventually(mark.exists)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [(title, passed) for title, passed, _ in dev.STEPS] == [("beside", False)]
    assert "— beside\nthis far\n" in capsys.readouterr().out
