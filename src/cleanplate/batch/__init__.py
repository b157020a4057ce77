"""Runs over many photos: plan first, refuse what would do harm, then one photo after the other."""

from cleanplate.batch.draft_files import maker_of_drafts, plan_of_masks
from cleanplate.batch.examples import (
    Example,
    check_examples_stay,
    check_unchanged,
    examples_of_run,
    open_examples,
    segmenter_of_examples,
)
from cleanplate.batch.mask_files import MaskFiles
from cleanplate.batch.page import PageWriter
from cleanplate.batch.planning import (
    Plan,
    PlannedPhoto,
    UnreadableFolder,
    plan_photos,
    report_files,
)
from cleanplate.batch.redoing import (
    describe_settings,
    job_of,
    plan_redo,
    read_list,
    read_report,
)
from cleanplate.batch.report import ModelNames, ReportWriter, describe_models, describe_outcome
from cleanplate.batch.running import Found, Job, Outcome, Status, run_plan

__all__ = [
    "Example",
    "Found",
    "Job",
    "MaskFiles",
    "ModelNames",
    "Outcome",
    "PageWriter",
    "Plan",
    "PlannedPhoto",
    "ReportWriter",
    "Status",
    "UnreadableFolder",
    "check_examples_stay",
    "check_unchanged",
    "describe_models",
    "describe_outcome",
    "describe_settings",
    "examples_of_run",
    "job_of",
    "maker_of_drafts",
    "open_examples",
    "plan_of_masks",
    "plan_photos",
    "plan_redo",
    "read_list",
    "read_report",
    "report_files",
    "run_plan",
    "segmenter_of_examples",
]
