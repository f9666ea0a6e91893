"""The tasks on the standard library's text: what their examples are, and baselines by counting."""

import collections
import dataclasses
import functools
import math
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxlab.losses import cross_entropy
from jaxlab.tasks import bytes_gpt, get, snippet_modules, stdlib, word_bigrams
from jaxlab.tasks.prediction import NextToken

task_of = functools.cache(get)


@pytest.mark.parametrize("name", ["snippet_modules", "word_bigrams", "bytes_gpt"])
def test_the_description_says_which_text_it_was(name):
    assert stdlib.library().digest[:12] in task_of(name).description


def test_words_are_classes_by_frequency_and_pairs_are_neighbours():
    words = [b"a", b"b", b"a", b"c", b"a", b"b"]
    index = {b"a": 0, b"b": 1}
    found = word_bigrams.pairs(words, index, 5)
    assert found["x"].tolist() == [0, 1, 0, word_bigrams.UNKNOWN, 0]
    assert found["y"].tolist() == [1, 0, word_bigrams.UNKNOWN, 0, 1]
    assert word_bigrams.pairs(words, index, 2)["x"].tolist() == [0, 0]


def test_the_target_is_what_counting_reaches_and_counting_pairs_beats_counting_words():
    task = task_of("word_bigrams")
    pool, test = ({name: leaf.tolist() for name, leaf in part.items()} for part in (task.data, task.test))
    follows = collections.Counter(zip(pool["x"], pool["y"], strict=True))
    before = collections.Counter(pool["x"])
    pairs = list(zip(test["x"], test["y"], strict=True))
    add_one = -sum(math.log2((follows[x, y] + 1) / (before[x] + 1_024)) for x, y in pairs) / len(pairs)
    assert task.target == pytest.approx(add_one, rel=1e-9)
    words = collections.Counter(pool["y"])
    unigram = -sum(math.log2((words[y] + 1) / (len(pool["y"]) + 1_024)) for y in test["y"]) / len(pairs)
    assert add_one < unigram - 0.5 < 10
    # A heavy tail: the ten largest classes hold half of the text, the smaller half of all classes little.
    shares = np.sort(np.bincount(pool["y"], minlength=1_024))[::-1] / len(pool["y"])
    assert shares[:10].sum() > 0.45
    assert shares[512:].sum() < 0.1


def test_the_table_of_log_frequencies_scores_as_counting_does():
    task = task_of("word_bigrams")
    counts = np.ones((1_024, 1_024))
    np.add.at(counts, (np.asarray(task.data["x"]), np.asarray(task.data["y"])), 1)
    loss, metrics = task.loss({"table": jnp.asarray(np.log(counts))}, task.test, None)
    assert float(metrics["bits_per_token"]) == pytest.approx(task.target, rel=1e-5)
    assert float(loss) == pytest.approx(float(metrics["bits_per_token"]) * math.log(2), rel=1e-5)


def test_sparse_rows_are_the_dense_product_and_so_is_the_gradient():
    random = np.random.RandomState(0)
    params = jax.tree.map(lambda leaf: random.standard_normal(leaf.shape), snippet_modules.init(jax.random.key(0)))
    inputs = np.stack([snippet_modules.buckets(text) for text in (b"a b c", b"", b"x = y + a")])
    dense = np.zeros((3, snippet_modules.BUCKETS))
    for row, words in enumerate([b"abc", b"", b"xya"]):
        for word in words:
            dense[row, zlib.crc32(bytes([word])) % snippet_modules.BUCKETS] = 1
    logits, pullback = jax.vjp(lambda p: snippet_modules.apply(p, inputs), jax.tree.map(jnp.float32, params))
    np.testing.assert_allclose(logits, dense @ params["weights"] + params["bias"], atol=1e-5)
    cotangent = random.standard_normal(logits.shape)
    (gradient,) = pullback(jnp.float32(cotangent))
    np.testing.assert_allclose(gradient["weights"], dense.T @ cotangent, atol=1e-5)
    np.testing.assert_allclose(gradient["bias"], cotangent.sum(0), atol=1e-5)


def test_words_are_counted_once_and_the_first_are_kept():
    many = b" ".join(b"word%d" % i for i in range(200))
    assert np.all(snippet_modules.buckets(many) < snippet_modules.BUCKETS)
    assert np.sum(snippet_modules.buckets(b"a a a b") < snippet_modules.BUCKETS) == 2


def test_snippets_are_stretches_of_lines_with_words():
    text = b"\n".join(b"line_%d\n# --\n" % i for i in range(20))
    found = snippet_modules.snippets(text)
    assert found == [b"\n".join(b"line_%d" % i for i in range(start, start + 8)) for start in (0, 8)]
    long = snippet_modules.snippets(b"\n".join(b"line_%d" % i for i in range(10_000)))
    assert len(set(long)) == snippet_modules.SNIPPETS
    assert (long[0][:6], long[-1][-9:]) == (b"line_0", b"line_9999")


def test_snippets_of_the_largest_modules_about_equally_many():
    task = task_of("snippet_modules")
    counts = np.bincount(np.concatenate([task.data["y"], task.test["y"]]), minlength=snippet_modules.MODULES)
    assert len(counts) == snippet_modules.MODULES
    assert counts.max() == snippet_modules.SNIPPETS
    assert counts.min() > snippet_modules.SNIPPETS / 3


def test_windows_are_the_texts_bytes_and_the_next_ones():
    task = task_of("bytes_gpt")
    for part, held_out in ((task.data, False), (task.test, True)):
        text = stdlib.library().text(held_out=held_out)
        for x, y in zip(np.asarray(part["x"])[::501], np.asarray(part["y"])[::501], strict=True):
            assert bytes(x) + bytes(y[-1:]) in text
            assert bytes(x[1:]) == bytes(y[:-1])
    assert task.data["x"].dtype == jnp.uint8


def test_windows_do_not_overlap():
    text = np.arange(65 * 40, dtype=np.uint32).astype(np.uint8).tobytes()
    cut = bytes_gpt.windows(text, 40)
    assert cut["x"].shape == cut["y"].shape == (40, bytes_gpt.CONTEXT)
    assert len(stdlib.library().text(held_out=False)) > bytes_gpt.WINDOWS * (bytes_gpt.CONTEXT + 1)
    assert len(stdlib.library().text(held_out=True)) > bytes_gpt.TEST_WINDOWS * (bytes_gpt.CONTEXT + 1)


@pytest.mark.parametrize("shape", [(7,), (3, 5)])
def test_bits_are_the_cross_entropy_whatever_is_minimised(shape):
    random = np.random.RandomState(0)
    table, x, y = random.standard_normal((4, 6)), random.randint(0, 4, shape), random.randint(0, 6, shape)
    batch = {"x": jnp.asarray(x, jnp.uint8), "y": jnp.asarray(y, jnp.uint8)}
    log_p = table - np.log(np.exp(table).sum(1, keepdims=True))
    nats = -log_p[x, y].mean()
    usual = NextToken(lambda params, tokens, key: params[tokens])
    doubled = dataclasses.replace(usual, loss=lambda logits, labels: 2 * cross_entropy(logits, labels))
    for loss_fn, factor in ((usual, 1), (doubled, 2)):
        loss, metrics = loss_fn(jnp.float32(table), batch, None)
        assert float(loss) == pytest.approx(factor * nats, rel=1e-5)
        assert float(metrics["bits_per_token"]) == pytest.approx(nats / math.log(2), rel=1e-5)


def test_the_transformer_reads_bytes():
    task = task_of("bytes_gpt")
    params = jax.eval_shape(task.init, jax.random.key(0))
    loss, metrics = jax.eval_shape(task.loss, params, task.test, None)
    assert loss.shape == metrics[task.metric].shape == ()
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 3 * (12 * 96**2 + 2 * 96) + 2 * 256 * 96 + 96
