"""What is known about each photo: results, report, journal."""

from cleanplate.batch.records.decide import (
    Decision,
    InputState,
    LastRecord,
    OutputState,
    decide_photo,
    expected_place,
    is_same,
    state_of,
)
from cleanplate.batch.records.html_page import PageWriter
from cleanplate.batch.records.journal import JOURNAL_FOLDER, Journal
from cleanplate.batch.records.report import (
    ModelNames,
    ReportWriter,
    describe_models,
    describe_result,
)
from cleanplate.batch.records.results import (
    EMPTY_MASK,
    FileState,
    FoundObject,
    PhotoResult,
    ProcessedPhoto,
    SkipReason,
    Status,
    failed_result,
    own_masks_of,
    skipped_result,
    unreadable_result,
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
    "Decision",
    "FileState",
    "FoundObject",
    "InputState",
    "Journal",
    "LastRecord",
    "ModelNames",
    "OutputState",
    "PageWriter",
    "PhotoResult",
    "ProcessedPhoto",
    "ReportWriter",
    "SkipReason",
    "Status",
    "Thumbnails",
    "decide_photo",
    "describe_models",
    "describe_result",
    "describe_settings",
    "difference_in_words",
    "expected_place",
    "failed_result",
    "flat_settings",
    "is_same",
    "job_of",
    "make_thumbnails",
    "own_masks_of",
    "settings_in_words",
    "skipped_result",
    "state_of",
    "unreadable_result",
]
