"""How good results are: measured for a folder of clean plates, by whatever tool they were made."""

from cleanplate.evaluation.folders import Evaluation, Pictures, Sources, evaluate_folders
from cleanplate.evaluation.scoring import FillScorer, LookScore, TruthScore
from cleanplate.evaluation.summary import FIGURES, figures_of, mean_figures, table_lines

__all__ = [
    "FIGURES",
    "Evaluation",
    "FillScorer",
    "LookScore",
    "Pictures",
    "Sources",
    "TruthScore",
    "evaluate_folders",
    "figures_of",
    "mean_figures",
    "table_lines",
]
