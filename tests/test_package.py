"""The package: the wheel is complete and runs outside the repository, and the documents are up to date."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path

import pytest
import typer
import yaml
from packaging.requirements import Requirement

import cryowae

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder far from the repository into which the wheel was installed."""
    folder = tmp_path_factory.mktemp("elsewhere")
    options = ["--quiet", "--no-deps", "--no-index", "--no-compile", "--target", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)
    return folder


def run_there(folder: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "CRYOWAE_DATA"} | {"PYTHONPATH": str(folder)}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)


def test_wheel_contains_all_files_that_the_package_reads(wheel):
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    wanted = {f"cryowae/configs/{path.name}" for path in (ROOT / "configs").glob("*.yaml")}
    wanted |= {str(p.relative_to(ROOT)) for p in (ROOT / "cryowae").rglob("*") if p.suffix not in (".pyc", "")}
    assert {"cryowae/py.typed", "cryowae/configs/cryowae-3.yaml", "cryowae/weights/cryowae-3.safetensors"} <= wanted
    assert not wanted - set(sizes)
    assert all(size <= 12_000_000 for name, size in sizes.items() if name.startswith("cryowae/weights/"))


def test_wheel_contains_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert tops == {"cryowae", f"cryowae-{cryowae.__version__}.dist-info"}


def test_wheel_has_name_version_and_licence(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("METADATA"))
        metadata = message_from_string(archive.read(name).decode())
        licences = [n for n in archive.namelist() if n.endswith("licenses/LICENSE")]
    assert (metadata["Name"], metadata["Version"]) == ("cryowae", cryowae.__version__)
    assert (metadata["License-Expression"], len(licences)) == ("BSD-3-Clause", 1)


def test_installed_package_finds_its_files_from_anywhere(installed, tmp_path):
    code = (
        "import cryowae; from cryowae.config import load_config; "
        "print(cryowae.__file__, load_config('cryowae-3').name, cryowae.load_model(device='cpu').name)"
    )
    done = run_there(installed, tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(installed / "cryowae" / "__init__.py"), "cryowae-3", "cryowae-3"]


def test_installed_package_runs_the_demo(installed, tmp_path):
    done = run_there(installed, tmp_path, "-m", "cryowae", "demo", "--output", "here")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "here" / "demo_restored.mrc").is_file()
    assert list((tmp_path / "here").glob("*.png"))


def test_public_names_exist():
    assert all(getattr(cryowae, name).__name__ == name for name in cryowae.__all__)
    assert set(cryowae.__all__) <= set(dir(cryowae))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cryowae.nothing  # noqa: B018


def test_pins_satisfy_every_requirement():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    stated = [*PROJECT["dependencies"], *(r for extra in PROJECT["optional-dependencies"].values() for r in extra)]
    for requirement in map(Requirement, stated):
        pin = pins.get(re.sub(r"[-_.]+", "-", requirement.name).lower(), "")
        assert pin, f"{requirement} is not pinned"
        assert requirement.specifier.contains(pin), f"{requirement} is pinned to {pin}"


def test_core_requirements_are_used():
    names = {"pyyaml": "yaml", "pillow": "PIL"}
    stated = {names.get(r.name, r.name) for r in map(Requirement, PROJECT["dependencies"])}
    used = {name for path in (ROOT / "cryowae").rglob("*.py") for name in top_level_imports(path)}
    assert stated <= used


def test_test_requirements_are_used():
    """A library that pyproject names as an oracle of the tests is one."""
    tools = {"pytest", "pytest-xdist", "pytest-qt", "hatchling", "pyqt6"}
    stated = {r.name for r in map(Requirement, PROJECT["optional-dependencies"]["test"])} - tools
    text = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))
    modules = [name.replace("-", "_") for name in stated]
    unused = [name for name in modules if not re.search(rf"(import|from|importorskip)\W+{name}\b", text)]
    assert not unused


def top_level_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module).split(".")[0]


def test_one_version_everywhere():
    assert f"## [{cryowae.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == cryowae.__version__


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_in_documents_exist(document):
    targets = re.findall(r"\]\(([^)#\s]+)", document.read_text("utf-8"))
    missing = [t for t in targets if "://" not in t and not (document.parent / t).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_commands_and_options_that_exist(document):
    from cryowae.cli import app

    for line in command_lines(document):
        command, words = typer.main.get_command(app), line.split()
        while hasattr(command, "commands"):  # `cryowae simulate wedge` is a command of a group
            if words[:1] == ["..."] or (not words and command.name in ("simulate", "benchmark")):
                break
            assert words and all(name in command.commands for name in words[0].split("|")), f"cryowae {line}"
            command = command.commands[words.pop(0).split("|")[0]]
            while words[:1] == ["|"]:  # `wedge | tilts`: one of them
                words = words[2:]
        known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        assert given <= known | {"--help"}, f"cryowae {line}"


def command_lines(document: Path) -> Iterator[str]:
    """The text after `cryowae` in the lines of shell blocks and in code spans, without the comment."""
    text = document.read_text("utf-8").replace("\\\n", " ")
    for block in re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            yield from re.findall(r"^(?:.*\s)?cryowae ([a-z][^#]*)", line)
    yield from re.findall(r"`cryowae ([a-z][^`]*)`", text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_in_documents_imports(document):
    for block in re.findall(r"^```python\n(.*?)^```", document.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        imports = [n for n in ast.parse(block).body if isinstance(n, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), str(document), "exec"), {})
