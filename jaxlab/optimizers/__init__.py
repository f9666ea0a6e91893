"""Optimizers, one algorithm a file, all pure ``optax.GradientTransformationExtraArgs``.

Each optimizer ``x(learning_rate, ...)`` is its direction ``scale_by_x(...)``, what belongs between, and
``scale_by_learning_rate``; the parts may be chained otherwise. ``names()`` lists all, ``get(name)`` tells
what is known of one.
"""

from jaxlab.optimizers.adabelief import adabelief, scale_by_adabelief
from jaxlab.optimizers.adadelta import adadelta, scale_by_adadelta
from jaxlab.optimizers.adafactor import adafactor, scale_by_adafactor
from jaxlab.optimizers.adagrad import adagrad, scale_by_adagrad
from jaxlab.optimizers.adahessian import adahessian, scale_by_adahessian
from jaxlab.optimizers.adam import adam, scale_by_adam
from jaxlab.optimizers.adamax import adamax, scale_by_adamax
from jaxlab.optimizers.adamw import adamw
from jaxlab.optimizers.adan import adan, scale_by_adan
from jaxlab.optimizers.ademamix import ademamix, scale_by_ademamix
from jaxlab.optimizers.adopt import adopt, scale_by_adopt
from jaxlab.optimizers.amsgrad import amsgrad, scale_by_amsgrad
from jaxlab.optimizers.dadapt_adam import dadapt_adam, scale_by_dadapt_adam
from jaxlab.optimizers.dadapt_sgd import dadapt_sgd, scale_by_dadapt_sgd
from jaxlab.optimizers.describe import Description, describe
from jaxlab.optimizers.dog import dog, scale_by_dog
from jaxlab.optimizers.gauss_newton import gauss_newton, scale_by_gauss_newton
from jaxlab.optimizers.lamb import lamb, scale_by_trust_ratio
from jaxlab.optimizers.laprop import laprop, scale_by_laprop
from jaxlab.optimizers.lars import lars, scale_by_lars
from jaxlab.optimizers.lbfgs import lbfgs, scale_by_lbfgs
from jaxlab.optimizers.line_search import with_line_search
from jaxlab.optimizers.lion import lion, scale_by_lion
from jaxlab.optimizers.mars import mars, scale_by_mars
from jaxlab.optimizers.momentum import momentum, nesterov, scale_by_momentum
from jaxlab.optimizers.momo import momo, scale_by_momo
from jaxlab.optimizers.momo_adam import momo_adam, scale_by_momo_adam
from jaxlab.optimizers.muon import muon, scale_by_muon
from jaxlab.optimizers.nadam import nadam, scale_by_nadam
from jaxlab.optimizers.newton import newton, scale_by_newton
from jaxlab.optimizers.normuon import normuon, scale_by_normuon
from jaxlab.optimizers.prodigy import prodigy, scale_by_prodigy
from jaxlab.optimizers.psgd_kron import psgd_kron, scale_by_psgd_kron
from jaxlab.optimizers.radam import radam, scale_by_radam
from jaxlab.optimizers.recipe import Recipe
from jaxlab.optimizers.recipe_file import load_about, load_recipe, save_recipe
from jaxlab.optimizers.registry import OptimizerInfo, get, names
from jaxlab.optimizers.rmsprop import rmsprop, scale_by_rms
from jaxlab.optimizers.sgd import gradient_descent, sgd
from jaxlab.optimizers.shampoo import scale_by_shampoo, shampoo
from jaxlab.optimizers.sign_descent import scale_by_sign, sign_descent
from jaxlab.optimizers.sm3 import scale_by_sm3, sm3
from jaxlab.optimizers.soap import scale_by_soap, soap
from jaxlab.optimizers.sophia import scale_by_sophia, sophia
from jaxlab.optimizers.yogi import scale_by_yogi, yogi

__all__ = [
    "Description",
    "OptimizerInfo",
    "Recipe",
    "adabelief",
    "adadelta",
    "adafactor",
    "adagrad",
    "adahessian",
    "adam",
    "adamax",
    "adamw",
    "adan",
    "ademamix",
    "adopt",
    "amsgrad",
    "dadapt_adam",
    "dadapt_sgd",
    "describe",
    "dog",
    "gauss_newton",
    "get",
    "gradient_descent",
    "lamb",
    "laprop",
    "lars",
    "lbfgs",
    "lion",
    "load_about",
    "load_recipe",
    "mars",
    "momentum",
    "momo",
    "momo_adam",
    "muon",
    "nadam",
    "names",
    "nesterov",
    "newton",
    "normuon",
    "prodigy",
    "psgd_kron",
    "radam",
    "rmsprop",
    "save_recipe",
    "scale_by_adabelief",
    "scale_by_adadelta",
    "scale_by_adafactor",
    "scale_by_adagrad",
    "scale_by_adahessian",
    "scale_by_adam",
    "scale_by_adamax",
    "scale_by_adan",
    "scale_by_ademamix",
    "scale_by_adopt",
    "scale_by_amsgrad",
    "scale_by_dadapt_adam",
    "scale_by_dadapt_sgd",
    "scale_by_dog",
    "scale_by_gauss_newton",
    "scale_by_laprop",
    "scale_by_lars",
    "scale_by_lbfgs",
    "scale_by_lion",
    "scale_by_mars",
    "scale_by_momentum",
    "scale_by_momo",
    "scale_by_momo_adam",
    "scale_by_muon",
    "scale_by_nadam",
    "scale_by_newton",
    "scale_by_normuon",
    "scale_by_prodigy",
    "scale_by_psgd_kron",
    "scale_by_radam",
    "scale_by_rms",
    "scale_by_shampoo",
    "scale_by_sign",
    "scale_by_sm3",
    "scale_by_soap",
    "scale_by_sophia",
    "scale_by_trust_ratio",
    "scale_by_yogi",
    "sgd",
    "shampoo",
    "sign_descent",
    "sm3",
    "soap",
    "sophia",
    "with_line_search",
    "yogi",
]
