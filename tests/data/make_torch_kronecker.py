"""Writes torch_kronecker.json: what the official SOAP and PSGD and pytorch_optimizer's Shampoo do with fixed gradients.

Run with torch 2.13.0 (CPU) and pytorch_optimizer 4.1.0, outside jaxlab's environment, in a folder that holds soap.py of
github.com/nikhilvyas/SOAP and psgd.py of github.com/lixilinx/psgd_torch (as of April 2026, a8616f1d):
``PYTHONPATH=. python .../tests/data/make_torch_kronecker.py``.
"""

import json
import pathlib
from collections.abc import Callable

import psgd
import torch
from pytorch_optimizer import ScalableShampoo, Shampoo
from soap import SOAP

STEPS = 12
RATE = 0.1

SHAMPOO = {"block_size": 64, "matrix_eps": 0.0, "use_svd": True, "shape_interpretation": False, "nesterov": False}
SHAMPOO |= {"start_preconditioning_step": 1, "diagonal_eps": 1e-8}

CONFIGS = {
    "soap": (SOAP, {"weight_decay": 0.0}),
    "soap max_size": (SOAP, {"weight_decay": 0.0, "max_precond_dim": 4, "precondition_frequency": 2}),
    "soap betas": (SOAP, {"weight_decay": 0.0, "betas": (0.8, 0.9), "eps": 1e-3, "precondition_frequency": 3}),
    "shampoo": (Shampoo, {"matrix_eps": 0.0}),
    "shampoo sgd": (ScalableShampoo, SHAMPOO | {"graft_type": 1, "preconditioning_compute_steps": 1}),
    "shampoo rmsprop": (
        ScalableShampoo,
        SHAMPOO | {"graft_type": 3, "preconditioning_compute_steps": 1, "betas": (0.8, 0.9)},
    ),
    "shampoo nesterov": (
        ScalableShampoo,
        SHAMPOO | {"graft_type": 3, "preconditioning_compute_steps": 1, "betas": (0.8, 0.9), "nesterov": True},
    ),
}


def trajectory(make: Callable, options: dict, start: torch.Tensor, gradients: torch.Tensor) -> list:
    parameter = torch.nn.Parameter(start.clone())
    optimizer = make([parameter], lr=RATE, **options)
    rows = []
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
        rows.append(parameter.detach().tolist())
    return rows


def whitened(gradients: torch.Tensor, max_skew: float) -> list:
    """Preconditioned gradients of PSGD's QUAD form, its random numbers zero, the factors never balanced."""
    draws = torch.randn, torch.randn_like, torch.rand
    torch.randn = torch.zeros
    torch.randn_like = torch.zeros_like
    torch.rand = torch.ones
    scale = float(torch.mean(gradients[0] ** 4) ** (-1 / 8))
    factors, contractions = psgd.init_kron(gradients[0], scale, max_skew=max_skew, dQ="QUAD")
    rows = []
    for gradient in gradients:
        psgd.update_precond_kron_whiten_quad(factors, contractions, gradient.clone(), lr=0.1, betaL=0.9, damping=0.0)
        rows.append(psgd.precond_grad_kron(factors, contractions, gradient).tolist())
    torch.randn, torch.randn_like, torch.rand = draws
    return rows


def main() -> None:
    torch.set_default_dtype(torch.float64)
    # The official SOAP finds its bases in float32 whatever its parameters are.
    torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    generator = torch.Generator().manual_seed(0)
    matrices = {}
    for name, shape in (("square", (4, 4)), ("wide", (3, 5))):
        start = torch.randn(shape, generator=generator)
        matrices[name] = (start, torch.randn(STEPS, *shape, generator=generator))
    document = {
        "torch": torch.__version__,
        "rate": RATE,
        "matrices": {name: {"start": s.tolist(), "gradients": g.tolist()} for name, (s, g) in matrices.items()},
        "runs": {
            label: {
                name: trajectory(make, options, *inputs)
                for name, inputs in matrices.items()
                # Of covariances without full rank inverse roots do not exist, and eigenvectors are anyone's choice.
                if name == "square" or label == "soap max_size"
            }
            for label, (make, options) in CONFIGS.items()
        },
        "psgd": {
            label: {name: whitened(inputs[1], skew) for name, inputs in matrices.items()}
            for label, skew in (("both sides", 10.0), ("one side", 1.0))
        },
    }
    path = pathlib.Path(__file__).with_name("torch_kronecker.json")
    path.write_text(json.dumps(document).replace("]], [[", "]],\n[[") + "\n")


if __name__ == "__main__":
    main()
