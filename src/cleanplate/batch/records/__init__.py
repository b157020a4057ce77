"""What is known about each photo: results, report, journal."""

from cleanplate.batch.records.file_state import Done, FileState, own_masks_of, state_of
from cleanplate.batch.records.html_page import PageWriter
from cleanplate.batch.records.journal import JOURNAL_FOLDER, Journal, Verdict
from cleanplate.batch.records.report import (
    ModelNames,
    ReportWriter,
    describe_models,
    describe_outcome,
)
from cleanplate.batch.records.results import (
    EMPTY_MASK,
    Found,
    Outcome,
    Skipped,
    Status,
    failed_outcome,
    skipped_outcome,
    unreadable_outcome,
)
from cleanplate.batch.records.settings import (
    describe_settings,
    difference_in_words,
    flat_settings,
    job_of,
    settings_in_words,
)
from cleanplate.batch.records.thumbnails import Thumbnails, make_thumbnails

__all__ = [
    "EMPTY_MASK",
    "JOURNAL_FOLDER",
    "Done",
    "FileState",
    "Found",
    "Journal",
    "ModelNames",
    "Outcome",
    "PageWriter",
    "ReportWriter",
    "Skipped",
    "Status",
    "Thumbnails",
    "Verdict",
    "describe_models",
    "describe_outcome",
    "describe_settings",
    "difference_in_words",
    "failed_outcome",
    "flat_settings",
    "job_of",
    "make_thumbnails",
    "own_masks_of",
    "settings_in_words",
    "skipped_outcome",
    "state_of",
    "unreadable_outcome",
]
