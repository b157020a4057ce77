"""How good results are: measured for a folder of clean plates, by whatever tool they were made."""

from cleanplate.evaluation.features import FeatureExtractor
from cleanplate.evaluation.folders import Evaluation, Pictures, Sources, evaluate_folders
from cleanplate.evaluation.scoring import FillScorer, LookScore, TruthScore
from cleanplate.evaluation.sheets import sheet_of, tiles_of, with_hole
from cleanplate.evaluation.summary import FIGURES, figures_of, mean_figures, table_lines

__all__ = [
    "FIGURES",
    "Evaluation",
    "FeatureExtractor",
    "FillScorer",
    "LookScore",
    "Pictures",
    "Sources",
    "TruthScore",
    "evaluate_folders",
    "figures_of",
    "mean_figures",
    "sheet_of",
    "table_lines",
    "tiles_of",
    "with_hole",
]
