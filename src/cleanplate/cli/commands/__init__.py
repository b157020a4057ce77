"""The commands, one file each."""

from cleanplate.cli.commands.dataset import dataset_command
from cleanplate.cli.commands.doctor import doctor_command
from cleanplate.cli.commands.edit import edit_command
from cleanplate.cli.commands.evaluate import evaluate_command
from cleanplate.cli.commands.fill import fill_command
from cleanplate.cli.commands.integrate import integrate_command
from cleanplate.cli.commands.labels import labels_command
from cleanplate.cli.commands.models import models_app
from cleanplate.cli.commands.plan import plan_command
from cleanplate.cli.commands.plugins import plugins_app
from cleanplate.cli.commands.ray import ray_command
from cleanplate.cli.commands.redo import redo_command
from cleanplate.cli.commands.run import run_command
from cleanplate.cli.commands.serve import serve_command
from cleanplate.cli.commands.video import video_command

__all__ = [
    "dataset_command",
    "doctor_command",
    "edit_command",
    "evaluate_command",
    "fill_command",
    "integrate_command",
    "labels_command",
    "models_app",
    "plan_command",
    "plugins_app",
    "ray_command",
    "redo_command",
    "run_command",
    "serve_command",
    "video_command",
]
