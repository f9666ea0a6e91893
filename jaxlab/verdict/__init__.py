"""Which arm is better, and is the difference real: intervals, paired tests, and sentences."""

from jaxlab.verdict.best_of import expected_best, expected_best_band
from jaxlab.verdict.compare import Comparison, Verdict, comparisons
from jaxlab.verdict.divergence import ranking
from jaxlab.verdict.divergence_rate import DivergenceRate, divergence_rate
from jaxlab.verdict.intervals import binomial_interval, bootstrap_band, t_interval
from jaxlab.verdict.measure import Measure
from jaxlab.verdict.over_studies import over_studies
from jaxlab.verdict.paired import Paired, equivalence_p, holm, paired_t, power, seeds_needed
from jaxlab.verdict.planning import detectable_effect, equivalence_power, paired_sd, power_words
from jaxlab.verdict.sensitivity import Sensitivity, lr_sensitivity
from jaxlab.verdict.steps_to_target import MedianSteps, SignTest, median_steps, sooner, steps_to_target
from jaxlab.verdict.study_variance import StudyVariance, study_variance
from jaxlab.verdict.superiority import Superiority, p_better
from jaxlab.verdict.words import chance, overall, sentence

__all__ = [
    "Comparison",
    "DivergenceRate",
    "Measure",
    "MedianSteps",
    "Paired",
    "Sensitivity",
    "SignTest",
    "StudyVariance",
    "Superiority",
    "Verdict",
    "binomial_interval",
    "bootstrap_band",
    "chance",
    "comparisons",
    "detectable_effect",
    "divergence_rate",
    "equivalence_p",
    "equivalence_power",
    "expected_best",
    "expected_best_band",
    "holm",
    "lr_sensitivity",
    "median_steps",
    "over_studies",
    "overall",
    "p_better",
    "paired_sd",
    "paired_t",
    "power",
    "power_words",
    "ranking",
    "seeds_needed",
    "sentence",
    "sooner",
    "steps_to_target",
    "study_variance",
    "t_interval",
]
