"""Instances: who runs which version. Staged rollouts, experiments and flags join in their issue."""
