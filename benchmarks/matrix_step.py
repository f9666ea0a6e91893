"""The step of the optimizers of matrices: many small ones beside optax, large ones beside the peak of their products.

Run: python -m benchmarks.matrix_step [--side 1024] [--rounds 12] [--json FILE]

Many small: 100 leaves of 64 x 64. Muon's step and its compilation, each against optax.contrib.muon, paired round by
round; the steps of the other optimizers of matrices beside them. Every turn is ten steps, so that what is done every
ten steps is in it once.

Few large: Muon on two leaves of ``--side`` squared. The useful operations of a step are those of its products: of
each of the five Newton-Schulz steps two with 2 n^3 for the polynomial, one for the matrix. The peak is what plain
products of the same size reach in the same run, as many of them as the step needs.
"""

import argparse
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table

from benchmarks import peers
from benchmarks.optimizer_step import Stepper, ratio, words
from benchmarks.side_by_side import Contestant, arguments, race, save
from jaxlab import optimizers

SMALL, LARGE = [(64, 64)] * 100, 2
STEPS_OF_NEWTON_SCHULZ, PRODUCTS = 5, 3
MATRIX_OPTIMIZERS = ("muon", "normuon", "shampoo", "soap", "psgd_kron")


def many_small(rounds: int) -> dict[str, Any]:
    """Times of a step of all, and Muon's speed against optax's."""
    steppers = {name: own(name, SMALL) for name in MATRIX_OPTIMIZERS if name in optimizers.names()}
    builders = {name: one.contestant for name, one in steppers.items()}
    builders |= {"muon again": builders["muon"], "optax": Stepper(peers.OPTAX["muon"](), SMALL, peers.EXTRA).contestant}
    seconds = race(builders, rounds, repeats=10)
    return {
        "milliseconds": {who: 1e3 * statistics.median(times) for who, times in seconds.items()},
        "speed_against": {who: ratio(seconds[who], seconds["muon"]) for who in seconds if who != "muon"},
    }


def compilation(rounds: int) -> dict[str, Any]:
    """Seconds from nothing to an executable, and the ratio of optax's to jaxlab's."""
    seconds: dict[str, list[float]] = {"muon": [], "optax": []}
    for number in range(-1, rounds):
        for who, times in seconds.items():
            jax.clear_caches()
            began = time.perf_counter()
            if who == "muon":
                own("muon", SMALL)
            else:
                Stepper(peers.OPTAX["muon"](), SMALL, peers.EXTRA)
            if number >= 0:
                times.append(time.perf_counter() - began)
    return {
        "seconds": {who: statistics.median(times) for who, times in seconds.items()},
        "speed_against": {"optax": ratio(seconds["optax"], seconds["muon"])},
    }


def few_large(side: int, rounds: int) -> dict[str, Any]:
    """Muon's step, and the part of the products' peak that it reaches."""
    products = LARGE * STEPS_OF_NEWTON_SCHULZ * PRODUCTS
    stepper = own("muon", [(side, side)] * LARGE)
    seconds = race({"muon": stepper.contestant, "products": lambda: plain_products(side, products)}, rounds)
    times = {who: statistics.median(spent) for who, spent in seconds.items()}
    return {
        "side": side,
        "milliseconds": {who: 1e3 * spent for who, spent in times.items()},
        "gigaflops_per_second": {who: 2e-9 * side**3 * products / spent for who, spent in times.items()},
        "fraction_of_peak": ratio(seconds["products"], seconds["muon"]),
    }


def own(name: str, shapes: list[tuple[int, ...]]) -> Stepper:
    """A step of jaxlab's."""
    return Stepper(optimizers.get(name).factory(peers.RATE), shapes)


def plain_products(side: int, number: int) -> Contestant:
    """As many products of two matrices."""
    x = jax.random.normal(jax.random.key(0), (side, side)) / side**0.5
    product = jax.jit(lambda x, y: jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST))

    def work() -> None:
        y = x
        for _ in range(number):
            y = product(x, y)
        jax.block_until_ready(y)

    return work


def options(parser: argparse.ArgumentParser) -> None:
    """What this benchmark alone is asked."""
    parser.add_argument("--side", type=int, default=1024, help="of the large matrices; default 1024")
    parser.add_argument("--compilations", type=int, default=8, help="of each, to compare; default 8")


def main() -> None:
    """Runs all three and prints them."""
    chosen, console = arguments(__doc__, 12, options), Console(width=120)
    small = many_small(chosen.rounds)
    table = Table("", "a step, ms", "muon against it", title="100 leaves of 64 x 64", title_justify="left")
    for who, milliseconds in small["milliseconds"].items():
        table.add_row(who, f"{milliseconds:.3g}", words(small["speed_against"].get(who)))
    console.print(table)
    large = few_large(chosen.side, chosen.rounds)
    rates = large["gigaflops_per_second"]
    console.print(f"{LARGE} leaves of {chosen.side} x {chosen.side}: {rates['muon']:.0f} GFLOP/s of useful products")
    console.print(f"  peak {rates['products']:.0f}; fraction {words(large['fraction_of_peak'])}")
    compiled = compilation(chosen.compilations)
    console.print("compilation, s: muon {muon:.2f}, optax {optax:.2f}".format(**compiled["seconds"]))
    console.print(f"  muon against optax: {words(compiled['speed_against']['optax'])}")
    content = {"many_small": small, "few_large": large, "compilation": compiled}
    save(chosen.json, {"benchmark": "matrix_step", "figures": content})


if __name__ == "__main__":
    main()
