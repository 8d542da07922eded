"""Residual networks as discretised differential equations, with their derivatives by hand."""
