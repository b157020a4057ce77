"""Quality metrics of clean plates, made by any tool."""

from cleanplate.evaluation.features import FeatureExtractor
from cleanplate.evaluation.folders import EvaluatedImages, Evaluation, Sources, evaluate_folders
from cleanplate.evaluation.sheets import sheet_of, tiles_of, with_hole
from cleanplate.evaluation.summary import figures_of, mean_figures, table_lines

__all__ = [
    "EvaluatedImages",
    "Evaluation",
    "FeatureExtractor",
    "Sources",
    "evaluate_folders",
    "figures_of",
    "mean_figures",
    "sheet_of",
    "table_lines",
    "tiles_of",
    "with_hole",
]
