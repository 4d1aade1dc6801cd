"""Recipes and overrides: what is read, what is refused, and that nothing of it needs torch."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from trainer.__main__ import main
from trainer.config import ConfigError, load_config, recipe_names
from trainer.configs.models import MODEL_CONFIGS, DigitsCNNConfig, GPTConfig
from trainer.configs.printed import config_text


def problems_of(recipe: str | Path, *overrides: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(recipe, overrides)
    return caught.value.problems


def test_every_bundled_recipe_loads_and_is_named_after_its_file() -> None:
    assert {"digits", "gpt"} <= set(recipe_names())
    for name in recipe_names():
        assert load_config(name).recipe == name


def test_an_override_wins_over_the_recipe_and_takes_the_field_s_type() -> None:
    config = load_config(
        "digits", ["samples=10", "model.channels=16", "optimizer.learning_rate=1", "device=cpu"]
    )
    assert (config.samples, config.model, config.device) == (10, DigitsCNNConfig(channels=16), "cpu")
    assert isinstance(config.optimizer.learning_rate, float)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("sample=3", "sample: there is no such key; did you mean samples?"),
        ("model.chanels=8", "model.chanels: there is no such key; did you mean model.channels?"),
        ("samples=many", "samples: expected a whole number, got 'many'"),
        ("samples=true", "samples: expected a whole number, got True"),
        ("samples=1.5", "samples: expected a whole number, got 1.5"),
        ("optimizer.learning_rate=fast", "optimizer.learning_rate: expected a number, got 'fast'"),
        ("device=tpu", "device: 'tpu' is not one of auto, cpu, cuda"),
        ("model.kind=rnn", f"model.kind: 'rnn' is not one of {', '.join(MODEL_CONFIGS)}"),
        ("model=3", f"model.kind: None is not one of {', '.join(MODEL_CONFIGS)}"),
        ("optimizer=3", "optimizer: is a table of keys, got 3"),
        ("seed.x=3", "seed: expected a whole number, got {'x': 3}"),
        ("samples", "samples: an override is written key=value or section.key=value"),
        ("samples=0", "samples: 0 is not positive"),
        ("checkpoint_every=-1", "checkpoint_every: -1 is negative"),
        ("seed=-1", "seed: -1 is not between 0 and 2**63 - 1"),
        ("seed=9223372036854775808", "seed: 9223372036854775808 is not between 0 and 2**63 - 1"),
        ("model.channels=12", "model.channels: 12 is not a positive multiple of 8"),
        ("optimizer.warmup_fraction=2", "optimizer.warmup_fraction: 2.0 is not between 0 and 1"),
        ("optimizer.learning_rate=nan", "optimizer.learning_rate: nan is not zero or more"),
        (
            "dataset=python_source",
            "dataset: python_source: is a text's tokens; a digits_cnn model takes pictures",
        ),
    ],
)
def test_a_mistake_is_refused_by_a_sentence_that_names_its_key(override: str, said: str) -> None:
    assert said in problems_of("digits", override)


@pytest.mark.parametrize(("width", "num_heads"), [(130, 4), (12, 4), (3, 1)])
def test_a_head_whose_numbers_cannot_be_paired_is_refused(width: int, num_heads: int) -> None:
    told = problems_of("gpt", f"model.width={width}", f"model.num_heads={num_heads}")
    assert told == (f"model.width: {width} is not a multiple of twice num_heads ({2 * num_heads})",)


def test_all_mistakes_are_told_at_once() -> None:
    assert len(problems_of("digits", "sample=3", "seed=x", "model.chanels=3", "optimizer.clip=1")) == 4
    assert len(problems_of("gpt", "model.width=130", "samples=0", "optimizer.final_fraction=-1")) == 3


def test_a_missing_required_key_is_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('dataset = "digits"\nglobal_batch = 8\n[model]\nkind = "digits_cnn"\n')
    assert problems_of(file) == ("samples: is required and missing",)


def test_an_unknown_recipe_is_refused_with_the_nearest_name() -> None:
    assert problems_of("digit") == (
        "digit: is neither a bundled recipe nor a .toml file; did you mean digits?",
    )


def test_a_file_that_is_missing_or_no_toml_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in problems_of(tmp_path / "none.toml")[0]
    broken = tmp_path / "broken.toml"
    broken.write_text("samples = = 3")
    assert "cannot be read" in problems_of(broken)[0]


def test_the_printed_configuration_reads_back_as_itself(tmp_path: Path) -> None:
    config = load_config("gpt", ["samples=7", "optimizer.learning_rate=3e-5"])
    file = tmp_path / "printed.toml"
    file.write_text(config_text(config, "gpt", []))
    assert load_config(file) == config
    assert isinstance(config.model, GPTConfig)
    assert tomllib.loads(file.read_text())["recipe"] == "gpt"


def test_the_digest_changes_with_the_result_s_settings_and_not_with_the_others() -> None:
    digest = load_config("digits").digest()
    assert load_config("digits", ["log_every=1", "keep_checkpoints=9", "fresh=true"]).digest() == digest
    for override in ("seed=2", "samples=1280", "model.channels=32", "optimizer.weight_decay=0"):
        assert load_config("digits", [override]).digest() != digest


def test_the_command_refuses_a_mistake_with_exit_2_before_torch_is_imported() -> None:
    code = (
        "import sys; from trainer.__main__ import main;"
        "codes = [main(a.split()) for a in ('digits sample=3', 'digits --print-config', '--list')];"
        "import trainer.prepare; print(codes, sorted({'torch', 'numpy', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[2, 0, 0] []"
    assert done.stderr == "error: sample: there is no such key; did you mean samples?\n"


def test_only_the_first_process_tells_a_mistake_that_all_of_them_find(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert main(["digits", "sample=3"]) == 2
    assert capsys.readouterr().err == ""
