"""What a run reads and writes, planned before anything starts."""

from cleanplate.batch.planning.discovery import PhotoFilter, Walk, read_list, walk_folder
from cleanplate.batch.planning.example_files import (
    Example,
    Provenance,
    check_examples_stay,
    check_unchanged,
    examples_of_run,
    open_examples,
    segmenter_of_examples,
)
from cleanplate.batch.planning.mask_folder import MaskFiles
from cleanplate.batch.planning.photo_list import (
    PlannedPhoto,
    Request,
    RunPlan,
    UnreadableFolder,
    check_report,
    check_writes,
    intermediate_files,
    mask_name,
    plan_photos,
    report_files,
)
from cleanplate.batch.planning.plan_files import (
    check_place,
    plan_of_masks,
    provenance_of_plans,
    read_plan,
    write_plan,
)
from cleanplate.batch.planning.redo import ReportLine, plan_redo, read_report
from cleanplate.batch.planning.watching import watch_photos
