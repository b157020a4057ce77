"""Runs over many photos: plan first, refuse what would do harm, then one photo after the other."""

from cleanplate.batch.draft_files import plan_of_masks, segmenter_of_drafts
from cleanplate.batch.mask_files import MaskFiles
from cleanplate.batch.planning import Plan, PlannedPhoto, UnreadableFolder, plan_photos
from cleanplate.batch.report import ModelNames, ReportWriter, describe_models, describe_outcome
from cleanplate.batch.running import Found, Job, Outcome, Status, run_plan

__all__ = [
    "Found",
    "Job",
    "MaskFiles",
    "ModelNames",
    "Outcome",
    "Plan",
    "PlannedPhoto",
    "ReportWriter",
    "Status",
    "UnreadableFolder",
    "describe_models",
    "describe_outcome",
    "plan_of_masks",
    "plan_photos",
    "run_plan",
    "segmenter_of_drafts",
]
