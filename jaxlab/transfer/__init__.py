"""Transfer learning: weights from files into models, adapters beside them, features that are computed once."""

from jaxlab.transfer.match import Rule, match
from jaxlab.transfer.report import Matched, Row

__all__ = [
    "Matched",
    "Row",
    "Rule",
    "match",
]
