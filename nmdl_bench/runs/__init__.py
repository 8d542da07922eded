"""Experiment files, their cases, the store of results, executors and the worker."""
