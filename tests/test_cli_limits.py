"""What a command line meets at its limits: long names, huge numbers, files without permission, signals."""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from test_cli import command, make_weights, run, save

from cryowae.io.mrc import write_mrc
from cryowae.io.outputs import check_output, temporary_path, write_bytes


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return make_weights(tmp_path_factory.mktemp("weights"))


def save_series(folder: Path) -> None:
    write_mrc(folder / "s.st", np.random.default_rng(0).normal(size=(24, 40, 48)).astype("f4"), voxel_size=10.0)
    (folder / "s.tlt").write_text("".join(f"{angle}\n" for angle in range(-46, 47, 4)))


def is_one_line(result, *parts: str) -> bool:
    lines = [line for line in result.stderr.splitlines() if not line.startswith("note: ")]
    assert result.exit_code == 2, (result.stdout, result.stderr, result.exception)
    assert len(lines) == 1 and lines[0].startswith("cryowae: ") and len(lines[0]) < 1000, result.stderr
    return all(part in lines[0] for part in parts)


@pytest.mark.parametrize("name", ["x" * 251, "é" * 125, "a" + "\U0001f9ca" * 62])
def test_names_of_up_to_255_bytes_can_be_written(tmp_path, name):
    path = tmp_path / f"{name}.mrc"
    assert len(os.fsencode(temporary_path(path).name)) <= 255
    write_mrc(path, np.zeros((4, 5, 6), np.float32), voxel_size=10.0)
    write_bytes(path.with_suffix(".txt"), b"text")
    assert sorted(os.listdir(tmp_path)) == sorted([path.name, f"{name}.txt"])


def test_results_whose_names_are_too_long_are_refused(tmp_path, weights):
    name = "x" * 247
    source = save(tmp_path, name)
    result = run("restore", source, "--model", weights, "--fast")
    assert is_one_line(result, "--output") and sorted(os.listdir(tmp_path)) == [f"{name}.mrc", f"{name}.tlt"]
    done = run("restore", source, "--model", weights, "--fast", "--output", tmp_path / f"{'y' * 251}.mrc")
    assert done.exit_code == 0, done.stderr
    assert is_one_line(run("info", tmp_path / ("z" * 400)), "too long")
    assert is_one_line(run("train", "z" * 400), "no configuration")
    assert is_one_line(run("benchmark", "run", "z" * 400), "no configuration")


def test_a_name_that_is_no_text_is_handled(tmp_path, weights):
    source = save(tmp_path)
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xe9.mrc"))
    source.rename(odd)
    words = [*command("restore", odd, "--model", weights, "--fast"), "--tilt-range", "-60", "60"]
    done = subprocess.run(words, capture_output=True, check=False)
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
    assert os.fsencode(odd.with_name(odd.stem + "_restored.mrc").name) in os.listdir(os.fsencode(tmp_path))


HUGE = [str(2**63), str(-(2**70)), "1e300", "inf", "nan", "9" * 400]
NUMBERS = [
    ("restore", "@a.mrc", "--window"),
    ("restore", "@a.mrc", "--overlap"),
    ("restore", "@a.mrc", "--voxel-size"),
    ("restore", "@a.mrc", "--fit"),
    ("restore", "@a.mrc", "--tilt-range", "-60"),
    ("info", "@a.mrc", "--voxel-size"),
    ("fit", "@a.mrc", "--output", "@w.safetensors", "--seed"),
    ("fit", "@a.mrc", "--output", "@w.safetensors", "--minutes"),
    ("reconstruct", "@a.mrc", "--tilts", "@a.tlt", "--bin"),
    ("reconstruct", "@a.mrc", "--tilts", "@a.tlt", "--thickness"),
    ("reconstruct", "@a.mrc", "--tilts", "@a.tlt", "--falloff"),
    ("reconstruct", "@a.mrc", "--tilts", "@a.tlt", "--sirt"),
    ("simulate", "wedge", "@a.mrc", "--tilt-range", "-60", "60", "--seed"),
    ("simulate", "wedge", "@a.mrc", "--tilt-range", "-60", "60", "--noise"),
    ("simulate", "wedge", "@a.mrc", "--tilt-range", "-60", "60", "--rotate"),
    ("simulate", "tilts", "@a.mrc", "--tilts", "@a.tlt", "--dose"),
    ("simulate", "tilts", "@a.mrc", "--tilts", "@a.tlt", "--defocus"),
    ("simulate", "scene", "crowded", "--output", "@s", "--seed"),
    ("demo", "--output", "@demo", "--seed"),
    ("benchmark", "speed", "--size"),
    ("benchmark", "score", "@a.mrc", "A=@a.mrc", "--output", "@s", "--tilt-range", "-60", "60", "--crop"),
    ("validate", "@a.mrc", "--tilts", "@a.tlt", "--drop"),
    ("baseline", "sweep", "mnist", "--epochs"),
]


@pytest.mark.parametrize("words", NUMBERS, ids=lambda words: " ".join(words[:2] + words[-1:]))
def test_numbers_beyond_all_limits_are_no_tracebacks(tmp_path, words):
    save(tmp_path, "a")
    for number in HUGE:
        result = run(*(word.replace("@", f"{tmp_path}/") for word in words), number)
        assert result.exit_code == 2 and isinstance(result.exception, SystemExit), (number, result.exception)
        assert sorted(os.listdir(tmp_path)) == ["a.mrc", "a.tlt"]


@pytest.mark.parametrize(
    "words",
    [
        ("restore", "@b.mrc", "--window", 10**15),
        ("restore", "@b.mrc", "--overlap", 10**15),
        ("reconstruct", "@s.st", "--tilts", "@s.tlt", "--bin", 10**15),
        ("reconstruct", "@s.st", "--tilts", "@s.tlt", "--thickness", 10**15),
        ("reconstruct", "@s.st", "--tilts", "@s.tlt", "--thickness", 60_000_000),
        ("validate", "@s.st", "--tilts", "@s.tlt", "--thickness", 10**15),
        ("benchmark", "speed", "--size", 10**9),
    ],
    ids=lambda words: " ".join(map(str, words[:1] + words[-2:])),
)
def test_sizes_beyond_the_memory_are_refused(tmp_path, weights, words):
    save_series(tmp_path)
    save(tmp_path, "b")
    more = ["--model", weights] if words[0] == "restore" else []
    result = run(*(str(word).replace("@", f"{tmp_path}/") for word in words), *more)
    if words[0] != "restore":  # a window is never larger than the tomogram
        assert is_one_line(result)
    assert isinstance(result.exception, SystemExit | None)


def refuse(monkeypatch, *names: str, number: int = errno.EACCES) -> None:
    """Files of these names cannot be used. The tests may run as root, who may use all."""

    def guarded(function):
        def call(path, *args, **options):
            if isinstance(path, str | os.PathLike) and any(part in names for part in Path(path).parts):
                raise OSError(number, os.strerror(number), str(path))
            return function(path, *args, **options)

        return call

    for module, name in ((os, "stat"), (os, "open"), (io, "open"), (builtins, "open"), (os, "mkdir")):
        monkeypatch.setattr(module, name, guarded(getattr(module, name)))


CLOSED = [
    ("restore", "@closed/a.mrc"),
    ("restore", "@a.mrc", "--output", "@closed/b.mrc"),
    ("restore", "@a.mrc", "--output", "@closed/deep/b.mrc"),
    ("restore", "@a.mrc", "--output", "@closed/folder"),
    ("restore", "@a.mrc", "--model", "@closed/w.safetensors"),
    ("restore", "@a.mrc", "--tilts", "@closed/a.tlt"),
    ("restore", "@a.mrc", "--mask", "@closed/a.mrc"),
    ("restore", "@a.mrc", "--half1", "@closed/a.mrc", "--half2", "@a.mrc"),
    ("info", "@closed/a.mrc"),
    ("train", "@closed/a.yaml"),
    ("train", "@closed.yaml", "--output", "@run"),
    ("benchmark", "run", "@closed/suite.yaml"),
    ("simulate", "scene", "@closed/scene.yaml", "--output", "@s"),
    ("simulate", "scene", "crowded", "--output", "@closed/s"),
    ("simulate", "wedge", "@a.mrc", "--tilt-range", "-60", "60", "--output", "@closed/b.mrc"),
    ("reconstruct", "@s.st", "--tilts", "@s.tlt", "--output", "@closed/b.mrc"),
    ("fit", "@a.mrc", "--output", "@closed/w.safetensors"),
    ("validate", "@s.st", "--tilts", "@s.tlt", "--output", "@closed/s"),
    ("demo", "--output", "@closed/demo"),
]


@pytest.mark.parametrize("words", CLOSED, ids=lambda words: " ".join(words))
def test_folders_that_may_not_be_searched_give_one_line(tmp_path, monkeypatch, words):
    save(tmp_path, "a")
    save_series(tmp_path)
    before = sorted(os.listdir(tmp_path))
    (tmp_path / "closed").mkdir()
    refuse(monkeypatch, "closed", "closed.yaml")
    result = run(*(word.replace("@", f"{tmp_path}/") for word in words))
    assert is_one_line(result, "ermission denied", "closed")
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "closed"])


def test_one_file_without_permission_does_not_stop_a_batch(tmp_path, weights, monkeypatch):
    for name in ("a", "b"):
        save(tmp_path, name)
    refuse(monkeypatch, "a.tlt")
    result = run("restore", tmp_path / "a.mrc", tmp_path / "b.mrc", "--model", weights, "--no-report", "--fast")
    assert result.exit_code == 1 and (tmp_path / "b_restored.mrc").is_file(), result.stderr


def test_an_xml_without_permission_gives_one_line(tmp_path, weights, monkeypatch):
    source = save(tmp_path, angles=False)
    (tmp_path / "tomo.xml").write_text("<TiltSeries></TiltSeries>")
    (tmp_path / "tomo.xml").write_text("<TiltSeries></TiltSeries>")
    stat = os.stat
    refuse(monkeypatch, "tomo.xml")
    monkeypatch.setattr(os, "stat", stat)  # it can be seen
    assert is_one_line(run("restore", source, "--model", weights), "tomo.xml", "Permission denied")


def test_a_bug_is_not_taken_for_a_failure_of_the_system(tmp_path, monkeypatch):
    import cryowae.tomogram.item

    def broken(*_, **__):
        raise FileNotFoundError(2, "No such file", "a part of the program")

    monkeypatch.setattr(cryowae.tomogram.item, "open_tomogram", broken)
    assert isinstance(run("info", save(tmp_path)).exception, FileNotFoundError)


@pytest.mark.skipif(not hasattr(os, "SEEK_DATA"), reason="the system does not tell")
def test_a_file_that_was_never_written_is_not_read(tmp_path):
    source = save(tmp_path)
    with source.open("r+b") as file:
        file.truncate(1024)
        file.write(np.array([2**12, 2**12, 2**8], "<i4").tobytes())
        file.truncate(1024 + 2**34)
    assert is_one_line(run("info", source), "never written")


def test_parts_of_a_path_that_are_files_or_missing(tmp_path):
    check_output(tmp_path / "new" / "deep" / "a.mrc", overwrite=False)
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "a.mrc", tmp_path / "file" / "deep" / "a.mrc"):
        with pytest.raises(Exception, match=r"not a folder|Not a directory"):
            check_output(path, overwrite=False)


SLOW = [pytest.param(delay, marks=pytest.mark.slow) for delay in (0.3, 0.8, 1.2)]


@pytest.mark.parametrize("delay", [0.5, 1.8, *SLOW])  # before, Python itself starts
def test_ctrl_c_while_a_command_starts_leaves_no_traceback(tmp_path, weights, delay):
    source = save(tmp_path, shape=(32, 128, 128))
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    words = command("restore", source, "--model", weights, "--device", "cpu")
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=heard)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in complaint, complaint
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".partial")]


SLOW = """
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
from cryowae.cli.signals import raise_in_steps
raise_in_steps()
signal.setitimer(signal.ITIMER_REAL, 0.1)
signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
try:
    import slow
    for _ in range(200):
        time.sleep(0.01)
except KeyboardInterrupt:
    print("complete" if sys.modules["slow"].done else "broken")
"""


def test_an_import_is_not_interrupted(tmp_path):
    (tmp_path / "slow.py").write_text("done = False\nimport time\ntime.sleep(0.5)\ndone = True\n")
    done = subprocess.run([sys.executable, "-c", SLOW, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "complete"


def test_a_picture_is_not_interrupted():
    from cryowae.cli.signals import _is_unsafe

    names = {"__name__": "matplotlib.figure"}
    exec("import sys\ndef look(): return sys._getframe()", names)
    assert _is_unsafe(names["look"]()) and not _is_unsafe(sys._getframe())
