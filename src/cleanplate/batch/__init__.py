"""Runs over many photos: plan first, refuse what would do harm, then as many at once as fit."""

from cleanplate.batch.engine import Engine, Resources, run_plan
from cleanplate.batch.journal import JOURNAL_FOLDER, Journal
from cleanplate.batch.mask_files import MaskFiles
from cleanplate.batch.memory import parse_size
from cleanplate.batch.piping import run_bytes
from cleanplate.batch.planning import Plan, PlannedPhoto, UnreadableFolder, plan_photos
from cleanplate.batch.report import ModelNames, ReportWriter, describe_models, describe_outcome
from cleanplate.batch.running import Found, Job, Outcome, Skipped, Status, Untouched, run_photo
from cleanplate.batch.selecting import Selection
from cleanplate.batch.settings import describe_settings
from cleanplate.batch.watching import watch_photos

__all__ = [
    "JOURNAL_FOLDER",
    "Engine",
    "Found",
    "Job",
    "Journal",
    "MaskFiles",
    "ModelNames",
    "Outcome",
    "Plan",
    "PlannedPhoto",
    "ReportWriter",
    "Resources",
    "Selection",
    "Skipped",
    "Status",
    "UnreadableFolder",
    "Untouched",
    "describe_models",
    "describe_outcome",
    "describe_settings",
    "parse_size",
    "plan_photos",
    "run_bytes",
    "run_photo",
    "run_plan",
    "watch_photos",
]
