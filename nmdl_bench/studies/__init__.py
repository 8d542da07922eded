"""Studies: pictures of a textbook's kind from a short file of settings, and the inspection of one network.

Here the numbers are computed, as tables with a caption; :mod:`nmdl_bench.report.pictures` draws and writes them.
"""
