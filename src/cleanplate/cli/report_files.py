"""What `--report` asks for, written while a run goes on."""

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cleanplate.cli.progress import RunView
from cleanplate.errors import PhotoError

if TYPE_CHECKING:
    from cleanplate.batch import Job, ModelNames, PhotoResult


class ReportFiles:
    """The files that `--report` names; one that cannot be written on is told once."""

    def __init__(
        self,
        report: Path | None,
        models: "ModelNames",
        job: "Job",
        view: RunView,
        known: Collection[str],
    ) -> None:
        from cleanplate.batch import PageWriter, ReportWriter, describe_settings, report_files

        self._view = view
        self._lines: ReportWriter | None = None
        self._page: PageWriter | None = None
        if report is None:
            return
        *pages, lines = report_files(report)
        settings = describe_settings(job)
        self._lines = ReportWriter(lines, models, known, settings=settings)
        for page in pages:
            self._page = PageWriter(page, _about(models, settings))

    def __enter__(self) -> Self:
        """Make the files."""
        self._stack = ExitStack()
        for writer in (self._lines, self._page):
            if writer is not None:
                self._stack.enter_context(writer)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files."""
        self._stack.close()

    def write(self, outcome: "PhotoResult") -> None:
        """Write what became of one photo; a full disk does not stop the run."""
        if self._lines is None:
            return
        try:
            line = self._lines.write(outcome)
            if self._page is not None:
                self._page.write(outcome, line)
        except PhotoError as error:
            self._view.fail(str(error))
            self._lines = None


def _about(models: "ModelNames", settings: Mapping[str, object]) -> dict[str, str]:
    """Return what the page says about the whole run."""
    from cleanplate.batch import flat_settings

    about = {role: name for role, name in models["models"].items() if name is not None}
    for name, value in flat_settings(settings).items():
        if value or (name == "grow" and value == 0):
            about[name] = _plain(value)
    return about


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
