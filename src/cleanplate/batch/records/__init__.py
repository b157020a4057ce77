"""What is recorded about each photo: results, report, journal; what to do with it next."""

from cleanplate.batch.records.decide import (
    Decision,
    InputState,
    LastRecord,
    OutputState,
    decide_photo,
    expected_place,
    is_same,
    mask_state_of,
    state_of,
)
from cleanplate.batch.records.html_page import PageWriter, make_thumbnails
from cleanplate.batch.records.journal import JOURNAL_FOLDER, Journal, recorded_results
from cleanplate.batch.records.results import (
    EMPTY_MASK,
    NO_MASK,
    FileState,
    FoundObject,
    PhotoResult,
    ProcessedPhoto,
    ReportWriter,
    SkipReason,
    Status,
    Thumbnails,
    describe_result,
    failed_result,
    skipped_result,
    unreadable_result,
)
from cleanplate.batch.records.settings import (
    Job,
    MaskOrientation,
    ModelNames,
    Published,
    Untouched,
    describe_models,
    describe_settings,
    difference_in_words,
    flat_settings,
    job_of,
    settings_in_words,
)
