"""Evaluation: one file for each table, all built turn by turn through the code that chat uses."""
