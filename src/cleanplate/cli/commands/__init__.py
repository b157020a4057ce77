"""The commands, one file each."""

from cleanplate.cli.commands.doctor import doctor_command
from cleanplate.cli.commands.evaluate import evaluate_command
from cleanplate.cli.commands.labels import labels_command
from cleanplate.cli.commands.models import models_app
from cleanplate.cli.commands.ray import RAY_HELP, ray_command
from cleanplate.cli.commands.redo import REDO_HELP, redo_command
from cleanplate.cli.commands.run import RUN_HELP, run_command
from cleanplate.cli.commands.stages import FILL_HELP, MASK_HELP, fill_command, mask_command
from cleanplate.cli.commands.video import VIDEO_HELP, video_command

__all__ = [
    "FILL_HELP",
    "MASK_HELP",
    "RAY_HELP",
    "REDO_HELP",
    "RUN_HELP",
    "VIDEO_HELP",
    "doctor_command",
    "evaluate_command",
    "fill_command",
    "labels_command",
    "mask_command",
    "models_app",
    "ray_command",
    "redo_command",
    "run_command",
    "video_command",
]
