"""Structure of the package: imports only go down, modules are small, and the command line starts without torch."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import cryowae

PACKAGE = Path(cryowae.__file__).parent
CONTRIBUTING = PACKAGE.parent / "CONTRIBUTING.md"
LONGEST = 300  # lines of a module; about 250 are meant
MODULES = sorted(PACKAGE.rglob("*.py"))


@cache
def parts() -> dict[str, tuple[int, str]]:
    """Each top-level name's height (0 = lowest) and the part that it belongs to, by the table in CONTRIBUTING.md."""
    cells = re.findall(r"^\| (`.*?`) \|", CONTRIBUTING.read_text("utf-8"), re.MULTILINE)
    found = {"__main__": (len(cells), "__main__")}
    for height, cell in enumerate(reversed(cells)):
        for part in cell.split(", "):
            found |= dict.fromkeys(re.findall(r"`(\w+)`", part), (height, part))
    return found


def imported(module: str, source: str) -> Iterator[str]:
    """Full names of what a module imports from cryowae, at the top, late, and for type checking alike."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "cryowae")
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{module} has a relative import in line {node.lineno}; write cryowae.… in full")
        elif isinstance(node, ast.ImportFrom) and node.module == "cryowae":
            yield from (f"cryowae.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("cryowae."):
            yield str(node.module)


def violations(module: str, source: str) -> list[str]:
    """Imports that go up or sideways."""
    known, own = parts(), module.split(".")[1]
    height, part = known[own]
    wrong = []
    for name in imported(module, source):
        other = name.split(".")[1] if "." in name else ""
        if other in ("", "__version__"):
            continue
        if other not in known:
            wrong.append(f"{module} imports {name}, which has no row in the table of CONTRIBUTING.md")
        elif known[other][1] != part and known[other][0] >= height:
            wrong.append(f"{module} ({part}) imports {name} ({known[other][1]}), which is not below it")
    return wrong


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def test_every_top_level_module_has_a_row_and_every_row_a_module():
    found = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES} - {"__init__"}
    assert found == set(parts())


def test_imports_only_go_down():
    wrong = [w for p in MODULES if name_of(p) != "cryowae" for w in violations(name_of(p), p.read_text("utf-8"))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "source", "allowed"),
    [
        ("cryowae.restore", "from cryowae.tomogram import Item", True),
        ("cryowae.restore.core", "from cryowae.restore.network import x", True),
        ("cryowae.restore.tiling", "from cryowae.restore.windows import Tiling", True),
        ("cryowae.io.mrc", "from cryowae import __version__", True),
        ("cryowae.tomogram.item", "from cryowae.restore import restore_tomogram", False),
        ("cryowae.report", "import cryowae.restore", False),
        ("cryowae.models", "from cryowae import metrics", False),
        ("cryowae.fourier.wedge", "def f():\n    from cryowae.tomogram import Tomogram", False),
        ("cryowae.io.mrc", "if TYPE_CHECKING:\n    from cryowae.fourier.wedge import Wedge", False),
        ("cryowae.io.mrc", "from cryowae.elsewhere import x", False),
    ],
)
def test_upward_and_sideways_imports_are_detected(module, source, allowed):
    assert (not violations(module, source)) == allowed


@pytest.mark.parametrize("part", ["", "cli", "config", "progress", "errors", "io"])
def test_import_does_not_import_torch(part):
    names = [name_of(p) for p in MODULES if f"{name_of(p)}.".startswith(f"cryowae.{part}.")] if part else ["cryowae"]
    assert names
    code = f"import sys, {', '.join(names)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_modules_stay_small():
    lines = {name_of(p): len(p.read_text("utf-8").splitlines()) for p in MODULES}
    assert not {name: n for name, n in lines.items() if n > LONGEST}


def test_modules_are_named_after_what_they_do():
    assert not [name_of(p) for p in MODULES if p.stem in ("utils", "util", "helpers", "helper", "misc", "common")]


def test_names_of_modules_functions_and_classes_are_unique():
    """A search for a name has one result. Commands may have the name of the function that they call."""
    places: dict[str, list[str]] = {}
    for path in MODULES:
        if path.stem not in ("__init__", "__main__"):
            places.setdefault(f"module {path.stem}", []).append(name_of(path))
        if path.relative_to(PACKAGE).parts[0] != "cli":
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                    places.setdefault(node.name, []).append(name_of(path))
    assert not {name: found for name, found in places.items() if len(found) > 1}


def test_library_does_not_print():
    wrong = []
    for path in MODULES:
        if path.relative_to(PACKAGE).parts[0] in ("cli", "__main__.py"):
            continue
        calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]
        wrong += [f"{name_of(path)}:{c.lineno}" for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]
    assert not wrong
