"""The statistics of experiments: what the counts and totals of each variant say, and how surely.

Everything is computed from aggregates. Every unit that saw a variant counts once, and one without
an outcome counts as 0, so that variants are compared by what was assigned, not by who answered.
SciPy is loaded by the first computation, not by importing these modules.
"""
