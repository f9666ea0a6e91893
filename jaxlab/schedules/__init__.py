"""Schedules: functions of the step, traceable in every number, and the transform that applies them."""

from jaxlab.core.hyper import Schedule
from jaxlab.schedules.constant import constant
from jaxlab.schedules.cosine import cosine
from jaxlab.schedules.exponential import exponential
from jaxlab.schedules.learning_rate import (
    LearningRate,
    LearningRateState,
    effective_learning_rate,
    loss_driven_rate,
    scale_by_learning_rate,
)
from jaxlab.schedules.registry import ScheduleInfo, get, names
from jaxlab.schedules.step import step_decay
from jaxlab.schedules.step import step_decay as step
from jaxlab.schedules.warmup import warmup
from jaxlab.schedules.wsd import wsd

__all__ = [
    "LearningRate",
    "LearningRateState",
    "Schedule",
    "ScheduleInfo",
    "constant",
    "cosine",
    "effective_learning_rate",
    "exponential",
    "get",
    "loss_driven_rate",
    "names",
    "scale_by_learning_rate",
    "step",
    "step_decay",
    "warmup",
    "wsd",
]
