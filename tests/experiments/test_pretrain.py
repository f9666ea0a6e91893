"""A language model from a folder to a page; stopped, killed, resumed, laid out, and refused where it must be."""

import dataclasses
import importlib.util
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from experiments import pretrain, pretrain_plan, pretrain_samples
from experiments.pretrain_log import Log
from jaxlab import report, text
from jaxlab.core.hyper import RunError
from jaxlab.train import Checkpoints

ROOT = Path(__file__).parents[2]
FILES = ("bisect.py", "calendar.py", "cmd.py", "code.py", "copy.py")
HELD_OUT = "abc.py"
TENSORBOARD = importlib.util.find_spec("tensorboardX") is not None
TINY = pretrain.Config(
    size="0.12M",
    context=32,
    batch_size=8,
    steps=44,
    evaluations=2,
    scan=True,
    samples=4,
    sample_tokens=40,
    precision="float32",
)
TIMES = {"seconds", "tokens_per_second", "mfu"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A little text; and what is compiled here is found again by all runs of this module, and by their processes."""
    made = tmp_path_factory.mktemp("pretrain")
    ours = {
        "jax_compilation_cache_dir": str(made / "programs"),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    # Few and small steps: here it is compilation that takes time, as in most folders of tests.
    jax.config.update("jax_disable_most_optimizations", True)
    before = {name: getattr(jax.config, name) for name in ours}
    for name, value in ours.items():
        jax.config.update(name, value)
    (made / "text").mkdir()
    library = Path(sysconfig.get_path("stdlib"))
    for name in FILES:
        shutil.copy(library / name, made / "text")
    (made / "text" / HELD_OUT).write_bytes((library / HELD_OUT).read_bytes()[:900])
    yield made
    for name, value in before.items():
        jax.config.update(name, value)


def _run(config, *, page=False):
    with pytest.MonkeyPatch.context() as patch:
        if not page:  # To draw it takes as long as all else.
            patch.setattr(report, "write", lambda results, out: report.results.save(results, out / "results.json"))
        pretrain.run(pretrain.prepare(config))


def _records(out):
    """The log, without what a clock says."""
    records = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    return [{name: value for name, value in record.items() if name not in TIMES} for record in records]


def _results(out) -> Any:
    return report.load(out)


def _samples(out):
    return {path.name: path.read_text() for path in (out / "samples").iterdir()}


def _assert_same(one, other):
    """All that a run leaves is the same, to the bit."""
    assert _results(one)["digests"] == _results(other)["digests"]
    assert _records(one) == _records(other)
    assert _samples(one) == _samples(other)
    for name in ("numbers", "sections"):
        first, second = (_results(out)[name] for out in (one, other))
        assert first[0] == second[0]


@pytest.fixture(scope="module")
def complete(folder):
    out = folder / "complete"
    _run(dataclasses.replace(TINY, text=folder / "text", tensorboard=TENSORBOARD, out=out), page=True)
    return out


@pytest.fixture(scope="module")
def stopped(folder, complete):
    """The same run, which got SIGTERM in the middle of what a record is a mean of."""
    out, advance = folder / "stopped", Log.advance

    def interrupted(self, step):
        advance(self, step)
        if step == 31:
            signal.raise_signal(signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Log, "advance", interrupted)
        with pytest.raises(SystemExit) as ended:
            _run(dataclasses.replace(TINY, text=folder / "text", out=out))
    assert ended.value.code == 128 + signal.SIGTERM
    return out


def test_it_leaves_a_log_checkpoints_texts_and_a_page(complete):
    records, results = _records(complete), _results(complete)
    assert [record["step"] for record in records] == list(range(2, 45, 2))
    assert records[0]["bits_per_byte"] > records[-1]["bits_per_byte"]
    assert records[0]["loss"] == pytest.approx(records[0]["bits_per_byte"] * math.log(2), rel=0.1)
    evaluated = [record for record in records if "held_out_bits_per_byte" in record]
    assert [record["step"] for record in evaluated] == [22, 44]
    parts = {"attention", "embedding", "head", "mlp", "norms"}
    for kind in ("gradient_norm", "parameter_rms"):
        assert {name.split("/")[1] for name in evaluated[0] if name.startswith(kind)} == parts
    norms = [evaluated[-1][f"gradient_norm/{part}"] for part in parts]
    assert math.hypot(*norms) == pytest.approx(evaluated[-1]["grad_norm"], rel=1e-5)
    assert {"activation_rms/0", "activation_rms/1", "activation_largest/1"} <= evaluated[0].keys()
    score, python, speed = results["numbers"]
    assert score["value"] == pytest.approx(evaluated[-1]["held_out_bits_per_byte"], rel=0.2)
    assert score["interval"] is None  # All of the held-out file was read.
    assert python["name"] == "lines that are Python"
    assert speed["value"] > 0
    assert "MFU N/A" in results["verdict"]
    assert set(_samples(complete)) == {"000022.txt", "000044.txt"}
    assert "import " in _samples(complete)["000044.txt"]
    assert bool(list((complete / "tensorboard").glob("events*"))) == TENSORBOARD
    assert "<h3>Text 4</h3><pre><code>class " in (complete / "report.html").read_text()
    with Checkpoints(complete / "checkpoints") as checkpoints:
        assert checkpoints.steps() == [22, 44]


def test_the_held_out_score_is_that_of_the_last_parameters(complete, folder):
    plan = pretrain.prepare(dataclasses.replace(TINY, text=folder / "text", out=folder / "new"))
    with Checkpoints(complete / "checkpoints") as checkpoints:
        state, _ = pretrain.begin(
            dataclasses.replace(plan, config=dataclasses.replace(TINY, resume=complete)), checkpoints
        )
    tokens = np.frombuffer((folder / "text" / HELD_OUT).read_bytes() + b"\0", np.uint8).astype(int)
    inputs = np.resize(np.roll(tokens, 1), (-(-len(tokens) // 32), 32))
    logits = np.asarray(jax.jit(plan.programs.model.apply)(state.params, inputs), np.float64).reshape(-1, 256)
    nats = [np.log(np.exp(row).sum()) - row[token] for row, token in zip(logits, tokens, strict=False)]
    score = _results(complete)["numbers"][0]["value"]
    assert score == pytest.approx(sum(nats) / math.log(2) / (len(tokens) - 1), rel=1e-5)


def test_stopped_by_a_signal_and_resumed_it_ends_with_the_same_bits(complete, stopped, folder, capsys):
    with Checkpoints(stopped / "checkpoints") as checkpoints:
        assert checkpoints.steps() == [22, 31]
    assert not (stopped / "results.json").exists()
    again = shutil.copytree(stopped, folder / "again")
    _run(pretrain.Config(resume=again))
    _assert_same(complete, again)


def test_killed_at_any_moment_and_resumed_it_ends_with_the_same_bits(complete, folder):
    out, lines = folder / "killed", random.SystemRandom().randrange(1, 16)
    config = dataclasses.replace(TINY, text=folder / "text", out=out)
    changed = {
        field.name.replace("_", "-"): getattr(config, field.name)
        for field in dataclasses.fields(config)
        if getattr(config, field.name) != getattr(pretrain.Config(), field.name)
    }
    options = [
        word
        for name, value in changed.items()
        for word in ([f"--{name}"] if value is True else [f"--{name}", str(value)])
    ]
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "experiments.pretrain", *options], cwd=ROOT, env=environment
    ) as process:
        log, until = out / "log.jsonl", time.monotonic() + 120
        while not (log.exists() and log.read_bytes().count(b"\n") >= lines) and time.monotonic() < until:
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
    assert process.returncode == -signal.SIGKILL, f"to be killed after {lines} lines of its log"
    _run(pretrain.Config(resume=out))
    _assert_same(complete, out)


def test_laid_out_over_devices_its_steps_are_nearly_the_same(complete, folder, capsys):
    numbers = {"total_steps": 44.0, "warmup_steps": 1.0, "decay_steps": 18.0}
    config = dataclasses.replace(TINY, steps=2, evaluations=1, samples=0, hyperparams=numbers)
    config = dataclasses.replace(config, text=folder / "text", accumulate=2, remat="dots", chunk_size=64)
    _run(dataclasses.replace(config, layout="data=2,fsdp=2,tensor=2", out=folder / "laid"))
    one, (*_, other) = _records(complete)[0], _records(folder / "laid")
    assert other["step"] == one["step"] == 2
    assert other["grad_norm"] == pytest.approx(one["grad_norm"], rel=0.01)
    both = np.mean([record["bits_per_byte"] for record in _records(folder / "laid")])
    assert both == pytest.approx(one["bits_per_byte"], rel=1e-3)
    assert 4 < other["held_out_bits_per_byte"] < 8
    assert "laid out over data=2,fsdp=2,tensor=2, ZeRO-3" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("other text", r"stopped was trained on text in 'text' with SHA-256 \w{12}, and in .* there is now text in"),
        (
            "truncated tokens",
            r"is truncated: of its [\d,]+ tokens 2 are missing.* Remove the file, and the run makes it",
        ),
        ("damaged memory", r"text\.json does not say what the run was trained on"),
        ("changed tokens", r"-held_out.tokens was changed: its tokens have SHA-256 \w{12}, and its header says \w{12}"),
        ("other tokens", r"tokens with SHA-256 \w{12}, and .*stopped was trained on \w{12}"),
        (
            "other tokenizer",
            r"with the tokenizer bytes \(vocabulary 256, .* what is there now is tokenizer.json \(vocab",
        ),
    ],
)
def test_other_data_than_the_run_began_with_are_refused(stopped, tmp_path, change, message):
    run, texts = (
        shutil.copytree(stopped, tmp_path / "stopped"),
        shutil.copytree(stopped.parent / "text", tmp_path / "text"),
    )
    remembered = json.loads((run / "config.json").read_text())
    remembered["config"]["text"] = str(texts)
    files = {side: next((run / "tokens").glob(f"*-{side}.tokens")) for side in ("training", "held_out")}
    match change:
        case "other text":
            (texts / "cmd.py").write_text("pass\n")
        case "truncated tokens":
            files["training"].write_bytes(files["training"].read_bytes()[:-2])
        case "damaged memory":
            (run / "text.json").write_text('{"tokenizer": {}}')
        case "changed tokens":
            files["held_out"].write_bytes(files["held_out"].read_bytes()[:-1] + b"!")
        case "other tokens":
            known = json.loads((run / "text.json").read_text())
            known["tokens"]["training"] = "0" * 64
            (run / "text.json").write_text(json.dumps(known))
        case _:
            remembered["config"]["tokenizer"] = str(_subwords(tmp_path / "tokenizer.json"))
    (run / "config.json").write_text(json.dumps(remembered))
    with pytest.raises(ValueError, match=message):
        pretrain.prepare(pretrain.Config(resume=run))


def _subwords(path):
    tokenizers = pytest.importorskip("tokenizers")
    trained = tokenizers.Tokenizer(tokenizers.models.BPE())
    trained.train_from_iterator(["import copy"], tokenizers.trainers.BpeTrainer(vocab_size=20, show_progress=False))
    trained.save(str(path))
    return path


def test_token_files_that_are_gone_are_made_again(stopped, folder, tmp_path):
    run = shutil.copytree(stopped, tmp_path / "run")
    shutil.rmtree(run / "tokens")
    plan = pretrain.prepare(pretrain.Config(resume=run))
    tokens = plan.source.tokens()
    assert pretrain.pretrain_text.remember(plan.source, tokens, run) == json.loads((stopped / "text.json").read_text())


def test_a_complete_run_is_not_resumed(complete):
    with pytest.raises(ValueError, match="that run is complete"):
        pretrain.prepare(pretrain.Config(resume=complete))
    message = "other options but layout and zero, which are those of the run that goes on; there is also steps"
    with pytest.raises(ValueError, match=message):
        pretrain.prepare(pretrain.Config(resume=complete, steps=10, layout="data=-1"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": "1 kilo"}, "size = '1 kilo'"),
        ({"size": "1k"}, "size = '1k' with a vocabulary of 256"),
        ({"size": "100B"}, r"size = '100B': parameters, gradients and optimizer state take [\d.e+]+ GB of each device"),
        ({"size": "100B", "layout": "fsdp=8"}, r"optimizer state take \d+ GB of each device"),
        ({"activation": "relu"}, "did you mean 'relu2'"),
        ({"remat": "some"}, "remat = 'some'"),
        ({"context": 10_000}, "context = 10000: the training side"),
        ({"context": 9_000, "batch_size": 1}, "context = 9000: the held-out side .* has at most"),
        ({"accumulate": 3}, "accumulate = 3: accepted are divisors of batch_size = 8"),
        ({"evaluations": 45}, "evaluations = 45"),
        ({"z_loss": -1.0}, r"z_loss = -1\.0"),
        ({"optimizer": "muno"}, "did you mean 'muon'"),
        ({"optimizer": "lion"}, "misses learning_rate|learning_rate"),
        ({"hyperparams": {"learning_rat": 0.1}}, "did you mean 'learning_rate'"),
        ({"precision": "bfloat61"}, "did you mean 'bfloat16'"),
        ({"zero": 1}, "zero = 1: accepted beside a layout"),
        ({"layout": "data=3"}, "its axes take 3 devices and there are 8"),
        ({"layout": "data=8", "batch_size": 12}, "batch_size = 12, context = 32: a batch of shape"),
        ({"layout": "data=8", "accumulate": 2}, "batch_size = 8 in 2 parts"),
        ({"layout": "tensor=8"}, "accepted of tensor are divisors of 2, the heads"),
        ({"layout": "sequence=8", "context": 36}, "context = 36: a batch of shape"),
        ({"tokenizer": Path("none.json")}, "no such file"),
        ({"text": Path("none")}, "is not there"),
        ({"samples": -1}, "samples = -1"),
    ],
)
def test_bad_input_is_refused_before_anything_is_compiled_or_written(changes, message, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, OSError), match=message):
        pretrain.prepare(dataclasses.replace(TINY, **{"text": folder / "text", **changes}))
    assert not list(tmp_path.iterdir())


def test_text_that_is_none_or_all_on_one_side_is_refused(folder, tmp_path):
    (tmp_path / "one").mkdir()
    with pytest.raises(ValueError, match="has no text"):
        pretrain.prepare(dataclasses.replace(TINY, text=tmp_path / "one"))
    shutil.copy(folder / "text" / "cmd.py", tmp_path / "one")
    with pytest.raises(ValueError, match=r"no text to hold out: .* 'cmd.py' comes nearest"):
        pretrain.prepare(dataclasses.replace(TINY, text=tmp_path / "one"))


def test_a_run_that_would_be_part_of_its_own_text_is_refused(folder, monkeypatch):
    monkeypatch.chdir(folder / "text")
    config = dataclasses.replace(TINY, text=Path())
    with pytest.raises(ValueError, match=r"out = 'runs/pretrain/.*' lies in the text's folder .* out elsewhere"):
        pretrain.prepare(config)
    with pytest.raises(ValueError, match="lies in the text's folder"):
        pretrain.prepare(dataclasses.replace(config, out=Path("../text/out")))
    assert pretrain.prepare(dataclasses.replace(config, out=Path("../out"))).out == Path("../out")
    assert pretrain.prepare(dataclasses.replace(config, out=Path(".runs/out"))).out == Path(".runs/out")


def test_tensorboard_that_is_missing_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxlab\[tensorboard\]'"):
        pretrain.prepare(dataclasses.replace(TINY, text=folder / "text", tensorboard=True, out=tmp_path / "out"))


def test_a_log_that_was_cut_off_goes_on(tmp_path):
    lines = [json.dumps({"step": step, "bits_per_byte": None}) + "\n" for step in (2, 4, 6)]
    (tmp_path / "log.jsonl").write_text("".join(lines) + '{"step": 8, "bi')
    with Log(tmp_path, pretrain.Console(quiet=True), 10) as log:
        log.begin(4)
        assert [record["step"] for record in log.records] == [2, 4]
        assert np.isnan(log.records[0]["bits_per_byte"])
    assert (tmp_path / "log.jsonl").read_text() == "".join(lines[:2])
    (tmp_path / "log.jsonl").write_text("".join(["{\n", *lines]))
    with Log(tmp_path, pretrain.Console(quiet=True), 10) as log, pytest.raises(RunError, match="jsonl is damaged"):
        log.begin(4)


@pytest.mark.parametrize(
    ("line", "passes"),
    [
        ("    return x", True),
        ("else:", True),
        ("# it's fine", True),
        ("This is prose", True),
        ("That isn't", False),
        ('x = "open', False),
        ("'''open", False),
        ("f(x,", False),
        ("x = 1 + \\", False),
        ("a ? b", False),
        ("caf\N{REPLACEMENT CHARACTER}", False),
    ],
)
def test_a_line_is_python_by_itself_or_not(line, passes):
    assert pretrain_samples.tokenizes(line) == passes


def test_lines_are_counted_where_they_are_whole():
    found = pretrain_samples.judged(["x = 1\n\n  y = (\nz", "import a\nb"])
    assert (found.passed, found.lines, found.share) == (2, 3, 2 / 3)
    assert 0 <= found.interval[0] < 2 / 3 < found.interval[1] <= 1
    assert math.isnan(pretrain_samples.judged(["x"]).share)


def test_texts_begin_with_prompts_of_one_length():
    by = text.Bytes()
    begun = pretrain_samples.beginnings(by, 5, python=True)
    assert begun.shape == (5, 8)
    assert by.decode(begun[2]) == "\n\n\ndef "
    assert by.decode(begun[0]) == by.decode(begun[4]) == "\n" * 7
    # A prompt is where a document begins.
    assert [row.tolist().index(by.separator) for row in begun] == [7, 0, 3, 1, 7]
    (written,) = pretrain_samples.texts(by, begun[1:2], np.array([[97, 10, 0, 98]]))
    assert written == "import a\nb"


def test_numbers_of_a_recipe_have_one_place():
    recipe, numbers = pretrain_plan.pretrain_recipe.recipe("muon", "wsd", {"learning_rate": 0.5}, steps=100, scan=True)
    assert (numbers["learning_rate"], numbers["total_steps"]) == (0.5, 100)
    assert dict(recipe.static)["layouts"] == pretrain_plan.pretrain_recipe.STACKED
    assert re.match("muon", recipe.optimizer)
