"""Jobs in the background: a bar, the remaining time, a button that stops them; and messages for the window."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from magicgui.widgets import Container, Label, ProgressBar, PushButton

from cryowae.errors import CryowaeError
from cryowae.progress import Progress, Stopped

_TICK = 100  # milliseconds between two updates of the bar
_SAID = 2  # messages that are shown, the newest ones
_COUNT = re.compile(r"[a-z]+ \d+ of \d+")  # `sample 2 of 8`: the next one takes its place, and none stays at the end
_LONG = 3  # seconds without a step after which the elapsed time is shown, to indicate that the job is running


# Advice in messages for the command line, and its equivalent in the window. The last one: any option.
_WORDS = (
    (r"give --tilts FILE or --tilt-range LO HI", "give a tilt file or a tilt range above"),
    (r"leave out --tilts or --tilt-range", "empty one of them"),
    (r"--tilt-range LO HI", "the tilt range"),
    (
        r"with --half1 and --half2 their mean is restored",
        "open both, choose one as the tomogram and one as the other half, and their mean is restored",
    ),
    (r"give another name, or --overwrite to replace it", "save to another name, or remove it first"),
    (r"give --resume to continue it, or --overwrite to replace it", "continue it, or save to another name"),
    (r"start without --resume", "start a new one"),
    (r"start again with --overwrite", "save to another name"),
    (r"give --half1 and --half2", "choose the other half"),
    (r"choose another (place )?with --output", "save to another place"),
    (r"; give --output", ""),
    (r"give (it with |the size by )?--voxel-size", "give the voxel size above"),
    (r"--voxel-size", "the voxel size"),
    (r"give --axes (\w+)", r"open it with “cryowae view --axes \1”"),
    (r"leave out --axes", "open it again without --axes"),
    (r"give --flip-tilt", "tick “tilts of the other sign”"),
    (r"leave out --flip-tilt", "untick “tilts of the other sign”"),
    (r"give (?:--tilt-offset \S+ or )?--tilt-range (-?\d+ -?\d+)", r"enter \1 as the tilt range"),
    (r"or --force to go on", "or tick “go on if the spectrum contradicts”"),
    (r"name other weights with --model", "choose other weights"),
    (r"give --contrast dark or --contrast bright", "choose dark or bright in “protein is”"),
    (r"leave out --model, or give weights that", "choose own weights that"),
    (r"the same command goes on with the next", "the same restoration goes on with the next"),
    (r"(?<=\s)(?<!view )--([a-z])", r"\1"),
)


def in_window_words(message: object) -> str:
    """A message on one line, with the names of fields in place of options.

    `expected angstrom per voxel: give it with --voxel-size` gives `expected angstrom per voxel: give the voxel size
    above`.
    """
    text = " ".join(str(message).split())
    for option, words in _WORDS:
        text = re.sub(option, words, text)
    return text


def notify(message: object) -> None:
    """Show an error as a notification of napari."""
    from napari.utils.notifications import show_error

    show_error(in_window_words(message))


class Cancelled(Stopped):
    """The user has cancelled the job."""


class Watch(Progress):
    """Progress that one thread reports and another reads, and that can stop the work between two steps.

    Attributes
    ----------
    task, unit, done, total
        Name, unit and steps of the current task.
    said
        Messages of the work, one line each.
    pictures
        Pictures that were drawn and not shown yet.
    cancelled
        Whether the user wants it to stop.

    Parameters
    ----------
    abandoned
        Whether napari wants it to stop, because it is closed.
    """

    def __init__(self, abandoned: Callable[[], bool] = lambda: False) -> None:
        self.abandoned = abandoned
        self.task, self.unit, self.done, self.total = "", "", 0, 0
        self.said: list[str] = []
        self.pictures: list[Path] = []
        self._began = time.monotonic()
        self.cancelled = False

    def cancel(self) -> None:
        """Stop before the next step: `Cancelled` is raised when the work reports its progress."""
        self.cancelled = True

    def begin(self, task: str, total: int, unit: str) -> None:
        self.task, self.unit, self.done, self.total = task, unit, 0, total
        self._began = time.monotonic()
        self._check()

    def advance(self, n: int = 1) -> None:
        self.done += n
        self._check()

    def say(self, message: str) -> None:
        if self.said and all(map(_COUNT.fullmatch, (message, self.said[-1]))):
            self.said.pop()
        self.said.append(message)
        self._check()

    def show(self, picture: Path) -> None:
        self.pictures.append(picture)

    def words(self) -> str:
        """The task, its steps that are done, and the remaining time at the rate so far."""
        if not self.task:
            return "preparing"
        text = f"{self.task}: {self.done} of {self.total} {self.unit}"
        passed = time.monotonic() - self._began
        if not 0 < self.done < self.total:
            return f"{text}, for {passed:.0f} s" if passed > _LONG else text
        left = passed * (self.total - self.done) / self.done
        return f"{text}, {left:.0f} s left" if left < 100 else f"{text}, {left / 60:.1f} min left"

    def _check(self) -> None:
        if self.cancelled or self.abandoned():
            raise Cancelled


class JobPanel(Container[Any]):
    """Runs one job at a time in a thread of its own; the window stays responsive.

    Parameters
    ----------
    quiet
        Show neither the bar nor the button.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar = ProgressBar(min=0, max=1000, value=0, label="", visible=False)
        self.message = Label(value="")
        self.stop = PushButton(text="Cancel", visible=False)
        super().__init__(widgets=[self._bar, self.message, self.stop], labels=False)
        self.margins = (0, 0, 0, 0)
        self._watch: Watch | None = None
        self._held: tuple[Any, ...] = ()
        self.stop.changed.connect(self.cancel)
        self._closed = False
        self.native.destroyed.connect(self.abandon)

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self._watch is not None

    def start(
        self,
        work: Callable[[Progress], Any],
        then: Callable[[Any], None],
        failed: Callable[[str], None] = notify,
        picture: Callable[[Path], None] = lambda path: None,
    ) -> None:
        """Run `work` in the background, then pass its result to `then` in the thread of the window.

        A `CryowaeError` is passed to `failed` in one line, by default a notification. Any other exception is a bug,
        which napari shows with its traceback. Pictures that the work draws are passed to `picture` at once.
        """
        from napari.qt.threading import create_worker
        from qtpy.QtCore import QTimer

        if self._watch is not None:
            notify("something is still running: wait for it, or cancel it")
            return
        watch = self._watch = Watch()
        worker = create_worker(_attempt, work, watch, then, failed, _start_thread=False)
        watch.abandoned = lambda: bool(worker.abort_requested)
        timer = QTimer(self.native)

        def tell(words: str) -> None:
            self.message.value = "\n".join(filter(None, [*map(in_window_words, watch.said[-_SAID:]), words]))

        def show_pictures() -> None:
            while watch.pictures:
                picture(watch.pictures.pop(0))

        def look() -> None:
            show_pictures()
            self._bar.native.setMaximum(1000 if watch.done else 0)  # the bar shows no value until a rate is known
            self._bar.value = 1000 * watch.done / max(watch.total, 1)
            tell("stopping" if watch.cancelled else watch.words())

        def conclude(outcome: tuple[str, Callable[[], None]]) -> None:
            self._watch, self._held = None, ()
            if self._closed:
                return
            timer.stop()
            show_pictures()
            self._show(running=False)
            watch.said = [line for line in watch.said if not _COUNT.fullmatch(line)]
            words, act = outcome
            tell(words)
            act()

        timer.timeout.connect(look)
        worker.returned.connect(conclude)
        worker.errored.connect(lambda _error: conclude(("this is a bug: please report it", lambda: None)))
        self._held = (worker, timer)
        self._show(running=True)
        tell("preparing")
        timer.start(_TICK)
        worker.start()

    def cancel(self, *_: Any) -> None:
        """Stop the job before its next window."""
        if self._watch is not None:
            self._watch.cancel()
            self.message.value = "stopping"

    def abandon(self, *_: Any) -> None:
        """Stop the job and do not change the widgets any more: the window is closed."""
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()

    def _show(self, *, running: bool) -> None:
        self._bar.value = 0
        self._bar.visible = self.stop.visible = running and not self._quiet


def _attempt(
    work: Callable[[Progress], Any], watch: Watch, then: Callable[[Any], None], failed: Callable[[str], None]
) -> tuple[str, Callable[[], None]]:
    """Do the work; return a message for the user, and the next action in the thread of the window."""
    try:
        return "", partial(then, work(watch))
    except Cancelled:
        return "cancelled: no result was written", lambda: None
    except CryowaeError as error:
        words = in_window_words(error)
        return words, partial(failed, words)
