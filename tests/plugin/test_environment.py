"""Finding, setting up and checking the engine's environment; no test here uses the network."""

import base64
import hashlib
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from building_segmenter import errors
from building_segmenter.plugin.environment import check, profiles, setup
from building_segmenter.plugin.environment.engine_python import find_engine_python
from building_segmenter.plugin.environment.managed import ManagedEnvironments, data_folder
from building_segmenter.plugin.environment.pip import explained
from building_segmenter.plugin.environment.pythons import candidates, find_python
from building_segmenter.plugin.process.listener import SilentListener

SUITABLE = (3, 11) <= sys.version_info[:2] <= (3, 13)
needs_suitable_python = pytest.mark.skipif(
    not SUITABLE, reason="builds with this very Python, which is not 3.11 to 3.13"
)


class Recorder(SilentListener):
    def __init__(self, stop_at="never"):
        self.stages, self.fractions, self.stop_at, self.stop = [], [], stop_at, False

    def progress(self, fraction, stage, eta_s):
        self.stages.append(stage)
        self.fractions.append(fraction)
        self.stop = self.stop or self.stop_at in stage

    def cancelled(self):
        return self.stop


@pytest.fixture
def environ(tmp_path, monkeypatch):
    monkeypatch.delenv("BUILDING_SEGMENTER_PYTHON", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "däta"))
    return dict(os.environ)


def program(path, text="#!/bin/sh\nexit 1\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def managed(environ):
    return ManagedEnvironments(data_folder(environ, sys.platform))


@pytest.mark.parametrize(
    ("platform", "environ", "ending"),
    [
        ("linux", {"XDG_DATA_HOME": "/d"}, "/d/building_segmenter"),
        ("linux", {}, ".local/share/building_segmenter"),
        ("darwin", {}, "Library/Application Support/building_segmenter"),
        ("win32", {"LOCALAPPDATA": "C:/L"}, "C:/L/building_segmenter"),
    ],
)
def test_the_users_data_folder_of_each_platform(platform, environ, ending):
    assert data_folder(environ, platform).as_posix().endswith(ending)


def test_the_variable_comes_before_the_setting_and_that_before_the_managed_environment(environ, tmp_path):
    by_variable, by_setting = program(tmp_path / "a" / "python"), program(tmp_path / "b b" / "python")
    folder = managed(environ).new_folder("predict")
    built = program(folder / "bin" / "python")
    managed(environ).switch_to(folder, built, "predict")
    assert find_engine_python(environ, "") == str(built)
    assert find_engine_python(environ, str(by_setting)) == str(by_setting)
    named = {**environ, "BUILDING_SEGMENTER_PYTHON": str(by_variable)}
    assert find_engine_python(named, str(by_setting)) == str(by_variable)


def test_the_folder_of_an_environment_may_be_named(environ, tmp_path):
    python = program(tmp_path / "venv" / "bin" / "python")
    assert find_engine_python(environ, str(tmp_path / "venv"), "linux") == str(python)


@pytest.mark.parametrize("variable", ["/no/such/python", ""])
def test_without_a_python_the_next_step_is_told(environ, variable):
    with pytest.raises(errors.EngineNotFoundError) as caught:
        find_engine_python({**environ, "BUILDING_SEGMENTER_PYTHON": variable}, "")
    assert "Set up environment" in caught.value.hint


def test_the_environment_before_is_kept_and_older_ones_are_removed(environ):
    folders = []
    for number in range(3):
        folder = managed(environ).new_folder("predict").with_name(f"predict-{number}")
        python = program(folder / "bin" / "python")
        managed(environ).switch_to(folder, python, "predict")
        folders.append(folder)
    assert [folder.exists() for folder in folders] == [False, True, True]
    assert managed(environ).current()["folder"] == str(folders[-1])


def test_candidates_are_tried_from_the_newest_on(tmp_path):
    for name in ("python3", "python3.11", "python3.13"):
        program(tmp_path / name)
    found = [Path(command[0]).name for command in candidates({"PATH": str(tmp_path), "PYENV_ROOT": "/no"}, "linux")]
    assert found[:3] == ["python3.13", "python3.11", "python3"]


def fake_python(path, version, can_make_venv):
    told = f'{{"version": {version}, "executable": "{path}", "bits": 64, "venv": {str(can_make_venv).lower()}}}'
    return program(path, f"#!/bin/sh\necho '{told}'\n")


@pytest.mark.parametrize(
    ("version", "can_make_venv", "said"),
    [("[3, 10, 4]", True, "brew|apt|python.org"), ("[3, 12, 1]", False, "python3.12-venv")],
)
def test_a_python_that_does_not_suit_is_refused_with_the_next_step(tmp_path, environ, version, can_make_venv, said):
    python = fake_python(tmp_path / "python", version, can_make_venv)
    with pytest.raises(errors.EngineNotFoundError) as caught:
        find_python(str(python), environ, "linux")
    assert any(word in caught.value.hint for word in said.split("|"))


def test_a_shim_that_does_not_start_is_passed_over(tmp_path, monkeypatch):
    program(tmp_path / "python3.13")
    suitable = fake_python(tmp_path / "python3.12", "[3, 12, 1]", True)
    assert find_python(None, {"PATH": f"{tmp_path}:/bin", "PYENV_ROOT": "/no"}, "linux").executable == str(suitable)


@pytest.mark.parametrize(
    ("said", "kind", "hint"),
    [
        ("ERROR: [Errno 28] No space left on device", errors.DiskFullError, "Free some space"),
        ("Failed to establish a new connection: [Errno -3] Temporary failure in name resolution", None, "BUNDLE"),
        ("ERROR: No matching distribution found for numpy==9", None, "another Python"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", None, "BUNDLE"),
        ("ssl.SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED", None, "PIP_CERT"),
        ("The virtual environment was not created because ensurepip is not available", None, "python3-venv"),
        ("something new", None, "report it"),
    ],
)
def test_a_failure_of_pip_is_explained(said, kind, hint):
    error = explained("pip", 1, said)
    assert isinstance(error, kind or errors.EngineNotFoundError)
    assert hint in error.hint
    assert said in error.message


def test_every_profile_is_known_and_others_are_refused():
    assert set(profiles.MODULES["predict"]) < set(profiles.MODULES["train"])
    with pytest.raises(errors.InvalidParameterError, match="fast"):
        profiles.requirements_of("fast")


def wheel(folder, name, source):
    """Write a wheel of one module; return its line in a file of requirements."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},sha256={_digest(text)},{len(text)}\n" for file, text in files.items())
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(file, text)
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def _digest(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """A profile of one package, in a folder of wheels."""
    requirements = tmp_path / "requirements"
    requirements.mkdir()
    folder = tmp_path / "whéels"

    def make(source):
        (requirements / "predict.txt").write_text(wheel(folder, "tinypackage", source))
        monkeypatch.setattr(profiles, "REQUIREMENTS", requirements)
        monkeypatch.setitem(profiles.MODULES, "predict", ("tinypackage",))
        return str(folder)

    return make


@needs_suitable_python
def test_an_environment_is_built_checked_and_switched_on_and_a_bad_one_is_not(environ, bundle, monkeypatch):
    listener, prepared = Recorder(), []
    # The tiny environment has nothing to compile with.
    monkeypatch.setattr(setup, "prepare", lambda python, *_: prepared.append(python))
    python = setup.setup_environment(environ, listener, "predict", "/usr/bin/python3", bundle("value = 42\n"))
    assert find_engine_python(environ, "") == python
    told = subprocess.run(
        [python, "-I", "-c", "import tinypackage as t; print(t.value)"], capture_output=True, check=True
    )
    assert told.stdout.strip() == b"42"
    assert [stage.split()[0] for stage in listener.stages] == [
        "Making",
        "Getting",
        "Installing",
        "Checking",
        "Importing",
    ]
    assert listener.fractions == sorted(listener.fractions)
    assert prepared == [python]

    with pytest.raises(errors.EngineNotFoundError, match="tinypackage: RuntimeError: broken"):
        setup.setup_environment(
            environ, Recorder(), "predict", "/usr/bin/python3", bundle("raise RuntimeError('broken')\n")
        )
    assert find_engine_python(environ, "") == python
    assert [folder.name for folder in Path(python).parents[2].iterdir()] == [Path(python).parents[1].name]


@needs_suitable_python
def test_a_package_that_was_tampered_with_is_refused_and_cancel_leaves_nothing(environ, bundle):
    folder = bundle("value = 1\n")
    locked = (profiles.REQUIREMENTS / "predict.txt").read_text()
    bundle("value = 2\n")
    (profiles.REQUIREMENTS / "predict.txt").write_text(locked)
    with pytest.raises(errors.EngineNotFoundError, match="not the one that was locked"):
        setup.setup_environment(environ, Recorder(), "predict", "/usr/bin/python3", folder)
    with pytest.raises(errors.CancelledError):
        setup.setup_environment(environ, Recorder(stop_at="Making"), "predict", "/usr/bin/python3", folder)
    assert managed(environ).current() is None
    assert not list((data_folder(environ, sys.platform) / "environments").iterdir())


def test_a_bundle_without_wheels_is_refused(environ, tmp_path):
    with pytest.raises(errors.InputNotFoundError, match="not a folder of wheels"):
        setup.setup_environment(environ, SilentListener(), "predict", None, str(tmp_path))


def test_the_check_says_what_is_wrong(environ, tmp_path):
    report = check.check_environment(environ, SilentListener())
    assert not report.works
    assert "Run Set up environment" in report.as_text()
    check.write_report(report, str(tmp_path / "report.html"))
    assert "Run Set up environment" in (tmp_path / "report.html").read_text(encoding="utf-8")
    with pytest.raises(errors.OutputNotWritableError):
        check.write_report(report, str(tmp_path / "no" / "report.html"))


@needs_suitable_python
def test_the_check_names_versions_and_missing_packages(environ, monkeypatch):
    monkeypatch.setitem(profiles.MODULES, "train", ("json", "no_such_package_1", "tensorflow_of_another_name"))
    report = check.check_environment({**environ, "BUILDING_SEGMENTER_PYTHON": "/usr/bin/python3"}, SilentListener())
    assert report.facts["Python"].startswith("3.")
    assert len(report.problems) == 2
    assert "no_such_package_1 does not import: ModuleNotFoundError" in report.problems[0]
    assert "<" not in report.as_text() and "no_such_package_1" in report.as_html()
