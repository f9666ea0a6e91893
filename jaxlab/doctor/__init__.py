"""Would training work on this machine, and what is amiss? ``python -m jaxlab.doctor`` says it.

Nothing here needs a package that may be missing or broken: jax is asked in a process of its own.
"""

from jaxlab.doctor.examine import examine
from jaxlab.doctor.finding import Finding, works
from jaxlab.doctor.installed import missing

__all__ = ["Finding", "examine", "missing", "works"]
