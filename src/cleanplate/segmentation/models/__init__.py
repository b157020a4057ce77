"""Segmentation networks, one file per family."""
