"""Which arm is better, and is the difference real: intervals, paired tests, and sentences."""

from jaxlab.verdict.compare import Comparison, Verdict, comparisons
from jaxlab.verdict.divergence import ranking
from jaxlab.verdict.intervals import bootstrap_band, t_interval
from jaxlab.verdict.measure import Measure
from jaxlab.verdict.paired import Paired, equivalence_p, holm, paired_t, power, seeds_needed
from jaxlab.verdict.words import overall, sentence

__all__ = [
    "Comparison",
    "Measure",
    "Paired",
    "Verdict",
    "bootstrap_band",
    "comparisons",
    "equivalence_p",
    "holm",
    "overall",
    "paired_t",
    "power",
    "ranking",
    "seeds_needed",
    "sentence",
    "t_interval",
]
