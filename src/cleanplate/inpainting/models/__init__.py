"""Inpainters, one file per family."""
