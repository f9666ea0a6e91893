"""Schedules, traceable in every number: functions of the step or of the loss, and the transform that applies them."""

from jaxlab.core.hyper import Schedule
from jaxlab.schedules.choose import choose
from jaxlab.schedules.constant import constant
from jaxlab.schedules.cosine import cosine
from jaxlab.schedules.cosine_restarts import cosine_restarts
from jaxlab.schedules.exponential import exponential, staircase
from jaxlab.schedules.inverse_sqrt import inverse_sqrt
from jaxlab.schedules.inverse_time import inverse_time
from jaxlab.schedules.join import join
from jaxlab.schedules.learning_rate import (
    LearningRate,
    LearningRateState,
    effective_learning_rate,
    loss_driven_rate,
    scale_by_learning_rate,
)
from jaxlab.schedules.loss_driven import loss_driven
from jaxlab.schedules.loss_ratio import loss_ratio
from jaxlab.schedules.one_cycle import one_cycle
from jaxlab.schedules.polyak import polyak
from jaxlab.schedules.polynomial import polynomial
from jaxlab.schedules.reduce_on_plateau import reduce_on_plateau
from jaxlab.schedules.registry import ScheduleInfo, get, names
from jaxlab.schedules.step import step_decay
from jaxlab.schedules.step import step_decay as step
from jaxlab.schedules.warmup import warmup
from jaxlab.schedules.wsd import wsd, wsd_1_sqrt, wsd_cosine

__all__ = [
    "LearningRate",
    "LearningRateState",
    "Schedule",
    "ScheduleInfo",
    "choose",
    "constant",
    "cosine",
    "cosine_restarts",
    "effective_learning_rate",
    "exponential",
    "get",
    "inverse_sqrt",
    "inverse_time",
    "join",
    "loss_driven",
    "loss_driven_rate",
    "loss_ratio",
    "names",
    "one_cycle",
    "polyak",
    "polynomial",
    "reduce_on_plateau",
    "scale_by_learning_rate",
    "staircase",
    "step",
    "step_decay",
    "warmup",
    "wsd",
    "wsd_1_sqrt",
    "wsd_cosine",
]
