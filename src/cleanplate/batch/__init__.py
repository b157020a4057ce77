"""Runs over many photos: plan first, refuse what would do harm, then as many at once as fit."""

from cleanplate.batch.draft_files import maker_of_drafts, plan_of_masks
from cleanplate.batch.engine import Engine, Resources, run_plan
from cleanplate.batch.examples import (
    Example,
    check_examples_stay,
    check_unchanged,
    examples_of_run,
    open_examples,
    segmenter_of_examples,
)
from cleanplate.batch.filtering import PhotoFilter
from cleanplate.batch.journal import JOURNAL_FOLDER, Journal
from cleanplate.batch.mask_files import MaskFiles
from cleanplate.batch.memory import parse_size
from cleanplate.batch.outcomes import Found, Outcome, Skipped, Status
from cleanplate.batch.page import PageWriter
from cleanplate.batch.piping import run_bytes
from cleanplate.batch.planning import (
    Plan,
    PlannedPhoto,
    UnreadableFolder,
    check_report,
    mask_name,
    plan_photos,
    report_files,
)
from cleanplate.batch.redoing import plan_redo, read_list, read_report
from cleanplate.batch.report import ModelNames, ReportWriter, describe_models, describe_outcome
from cleanplate.batch.job import Job, Untouched
from cleanplate.batch.running import run_photo
from cleanplate.batch.settings import describe_settings, flat_settings, job_of, settings_in_words
from cleanplate.batch.watching import watch_photos
from cleanplate.batch.worker import is_portable

__all__ = [
    "JOURNAL_FOLDER",
    "Engine",
    "Example",
    "Found",
    "Job",
    "Journal",
    "MaskFiles",
    "ModelNames",
    "Outcome",
    "PageWriter",
    "PhotoFilter",
    "Plan",
    "PlannedPhoto",
    "ReportWriter",
    "Resources",
    "Skipped",
    "Status",
    "UnreadableFolder",
    "Untouched",
    "check_examples_stay",
    "check_report",
    "check_unchanged",
    "describe_models",
    "describe_outcome",
    "describe_settings",
    "examples_of_run",
    "flat_settings",
    "is_portable",
    "job_of",
    "maker_of_drafts",
    "mask_name",
    "open_examples",
    "parse_size",
    "plan_of_masks",
    "plan_photos",
    "plan_redo",
    "read_list",
    "read_report",
    "report_files",
    "run_bytes",
    "run_photo",
    "run_plan",
    "segmenter_of_examples",
    "settings_in_words",
    "watch_photos",
]
