"""Every held-out token is predicted once, and a model's bits are those of the whole text."""

import math

import numpy as np
import pytest

from jaxlab.text import HeldOut

TEXT = bytes(np.random.RandomState(0).choice([97, 98, 99], 500, p=[0.7, 0.2, 0.1]).tolist())


@pytest.mark.parametrize(("context", "batch_size"), [(16, 4), (501, 1), (1, 1), (1_000, 3), (7, 100)])
def test_every_token_once_and_in_order(token_file, context, batch_size):
    file = token_file(TEXT)
    held_out = HeldOut(file, context, batch_size)
    batches = list(held_out)
    assert len(batches) == len(held_out) == held_out.batches
    assert {batch[name].shape for batch in batches for name in ("x", "y", "weight")} == {(batch_size, context)}
    x, y = (np.concatenate([batch[name][batch["weight"] == 1] for batch in batches]).tolist() for name in ("x", "y"))
    assert y == file.tokens.tolist()
    assert x == [y[-1], *y[:-1]]
    assert held_out.predictions == len(y) == 501
    assert held_out.text_bytes == pytest.approx(500)
    assert all(set(np.unique(batch["weight"])) <= {0.0, 1.0} for batch in batches)


def test_bits_per_byte_are_all_nats_over_all_bytes(token_file):
    """Of a table of frequencies, by hand."""
    file = token_file(TEXT)
    held_out = HeldOut(file, 16, 4)
    log_p = {0: math.log(0.01), 97: math.log(0.69), 98: math.log(0.2), 99: math.log(0.1)}
    nats = -sum((np.vectorize(log_p.get)(batch["y"]) * batch["weight"]).sum() for batch in held_out)
    by_hand = -sum(log_p[byte] for byte in [*TEXT, 0]) / len(TEXT) / math.log(2)
    assert held_out.bits_per_byte(nats) == pytest.approx(by_hand)


def test_fewer_batches_are_spread_and_full(token_file):
    file = token_file(TEXT)
    some = HeldOut(file, 16, 4, batches=3)
    batches = list(some)
    assert all(np.all(batch["weight"] == 1) for batch in batches)
    assert some.predictions == 3 * 4 * 16
    assert some.text_bytes == pytest.approx(3 * 4 * 16 * 500 / 501)
    found = [file.tokens.tobytes().find(row.astype(np.uint8).tobytes()) for batch in batches for row in batch["y"]]
    assert found == sorted(set(found))
    assert found[0] == 0
    assert found[-1] == 501 // 16 * 16 - 16
    assert HeldOut(file, 16, 4, batches=1_000).predictions == 501
    assert [HeldOut(file, 16, 4, batches=n).batches for n in (7, 8, 9)] == [7, 8, 8]


def test_numbers_out_of_range(token_file):
    file = token_file(TEXT)
    for name, arguments in {"context": (0, 1), "batch_size": (1, 0), "batches": (1, 1, 0)}.items():
        with pytest.raises(ValueError, match=f"{name} = 0: accepted"):
            HeldOut(file, *arguments)
    with pytest.raises(ValueError, match="index = 8: accepted is a whole number of at least 0 and at most 7"):
        HeldOut(file, 16, 4).batch(8)
