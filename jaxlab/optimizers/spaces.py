"""Search spaces that several optimizers share, with the ranges that papers used."""

from jaxlab.core.space import LogUniform, OneMinusLog, SearchSpace

SGD: SearchSpace = {"learning_rate": LogUniform(2e-2, 5.0)}
MOMENTUM: SearchSpace = {"learning_rate": LogUniform(2e-2, 5.0), "momentum": OneMinusLog(0.7, 0.995)}
ADAM: SearchSpace = {
    "learning_rate": LogUniform(1e-4, 3e-2),
    "b1": OneMinusLog(0.5, 0.98),
    "b2": OneMinusLog(0.9, 0.996),
}
# Lengths that a line search tries first; 1 is the step these methods are made for.
SECOND_ORDER: SearchSpace = {"learning_rate": LogUniform(1e-1, 1.0)}
DAMPED: SearchSpace = {**SECOND_ORDER, "damping": LogUniform(1e-8, 1e-1)}
# What finds its step size itself takes a learning rate that multiplies it: 1, or close to it.
PARAMETER_FREE: SearchSpace = {"learning_rate": LogUniform(0.25, 4.0)}
# What is no matrix has a rate of its own.
MUON: SearchSpace = {
    "learning_rate": LogUniform(2.5e-3, 8e-2),
    "momentum": OneMinusLog(0.9, 0.98),
    "weight_decay": LogUniform(1e-2, 0.3),
    "fallback_learning_rate": LogUniform(1e-3, 1e-2),
}
