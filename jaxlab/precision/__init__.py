"""Numeric precision of a training step."""

from jaxlab.precision.policy import Policy, as_policy

__all__ = ["Policy", "as_policy"]
