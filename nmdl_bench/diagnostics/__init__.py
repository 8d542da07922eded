"""What a network does to its features: trajectories, spectra, growth, energy, decision regions, landscapes, kernels.

Numbers only, on the host, as NumPy arrays; :mod:`nmdl_bench.studies` puts them in tables, :mod:`nmdl_bench.report`
draws them.
"""
