"""Fine-tuning with LoRA, on tiny models made on the spot: what is learned, kept, saved and refused."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributed.checkpoint import FileSystemReader

from tests.trainer_runs import ALONE, losses, run
from tests.trainer_runs import own_surroundings as own_surroundings
from trainer.config import Config, ConfigError, load_config
from trainer.configs.lora import LoraConfig
from trainer.data.dataset import open_dataset
from trainer.data.find import find_dataset
from trainer.finetune import hugging_face
from trainer.finetune.causal_loss import CausalLoss
from trainer.finetune.examples import end_tokens, make_examples, prompt_tokens, uses_chat_template
from trainer.finetune.packing import NOT_LEARNED, Example, PackedExamples, cut, pack
from trainer.predict import Predictor
from trainer.tasks.finetune import FinetuneTask
from trainer.text.tokenizer import train_tokenizer

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("own_surroundings")]
WORDS = ["alpha", "beta", "gamma", "delta", "module", "class", "value", "string"]
TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def pairs(count: int) -> list[dict[str, str]]:
    """Return prompts of some words, and their repetition as the response."""
    draw = random.Random(1)
    chosen = [[draw.choice(WORDS) for _ in range(draw.randint(1, 4))] for _ in range(count)]
    return [{"prompt": f"say {' '.join(words)}:", "response": f" {' '.join(words)}"} for words in chosen]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folders of a tiny Llama and a tiny GPT-2 with a tokenizer, and of the prompts' file."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import tokenizers
    import transformers

    root = tmp_path_factory.mktemp("models")
    learned = train_tokenizer([f"{each['prompt']}{each['response']}" for each in pairs(300)], 320)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer.from_str(learned.json),
        eos_token="<|end|>",
        pad_token="<|padding|>",
    )
    sizes: dict[str, Any] = {"vocab_size": 320, "bos_token_id": None, "eos_token_id": 0, "pad_token_id": 1}
    llama = transformers.LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, **sizes,
    )  # fmt: skip
    gpt2 = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=128, **sizes)
    torch.manual_seed(0)
    opt = transformers.OPTConfig(
        hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=4, word_embed_proj_dim=32,
        max_position_embeddings=128, **sizes,
    )  # fmt: skip
    bloom = transformers.BloomConfig(hidden_size=32, n_layer=2, n_head=4, **sizes | {"bos_token_id": 0})
    for name, model in (
        ("llama", transformers.LlamaForCausalLM(llama)),
        ("gpt2", transformers.GPT2LMHeadModel(gpt2)),
        ("opt", transformers.OPTForCausalLM(opt)),
        ("bloom", transformers.BloomForCausalLM(bloom)),
    ):
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    (root / "pairs.jsonl").write_text("".join(json.dumps(each) + "\n" for each in pairs(160)))
    return {name: root / name for name in ("llama", "gpt2", "opt", "bloom", "pairs.jsonl")}


def config_of(folders: dict[str, Path], *overrides: str, model: str = "llama") -> Config:
    """Return the recipe for a tiny model: twelve steps."""
    return load_config(
        "finetune",
        [
            f"model.path={folders[model]}",
            f"data.path={folders['pairs.jsonl']}",
            *("model.context=48", "model.rank=4", "samples=48", "global_batch=4", "device=cpu"),
            *("optimizer.learning_rate=1e-2", "log_every=1", "checkpoint_every=4", *overrides),
        ],
    )


def causal(folder: Path) -> CausalLoss:
    """Return a tiny model with adapters that do something."""
    torch.manual_seed(0)
    config = LoraConfig(path=str(folder), rank=2)
    adapted = hugging_face.add_adapters(hugging_face.load_causal_model(folder), config)
    model = CausalLoss(adapted, packing=True).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter, std=0.1)
    return model


def packed(examples: list[Example], context: int, packing: bool) -> dict[str, torch.Tensor]:
    """Return all the samples as one batch."""
    source = PackedExamples(examples, context, padding=1, packing=packing)
    return source.batch(np.arange(source.num_items), np.zeros((source.num_items, 0), np.float32))


def test_documents_share_samples_in_their_order_and_none_is_lost() -> None:
    rows = pack([5, 4, 3, 6, 2, 10], 10)
    assert rows == [[0, 1], [2, 3], [4], [5]]
    pieces = cut(Example(list(range(25)), [True] * 25), 10)
    assert [len(piece.tokens) for piece in pieces] == [10, 10, 5]
    assert cut(Example([1, 2, 3], [True, False, False]), 10) == []


def test_each_token_predicts_the_next_of_its_own_document_and_counts_once() -> None:
    examples = [Example([5, 6, 7], [False, True, True]), Example([8, 9], [True, True])]
    batch = packed(examples, 6, packing=True)
    assert batch["tokens"].tolist() == [[5, 6, 7, 8, 9, 1]]
    assert batch["targets"].tolist() == [[6, 7, NOT_LEARNED, 9, NOT_LEARNED, NOT_LEARNED]]
    assert batch["positions"].tolist() == [[0, 1, 2, 0, 1, 0]]
    assert len(batch["counted"]) == 3


@pytest.mark.parametrize("name", ["llama", "gpt2", "opt"])
def test_documents_that_share_a_sample_do_not_see_each_other(folders: dict[str, Path], name: str) -> None:
    model, draw = causal(folders[name]), random.Random(2)
    examples = [Example([draw.randrange(2, 320) for _ in range(size)], [True] * size) for size in (9, 7, 12)]
    together, apart = packed(examples, 32, packing=True), packed(examples, 32, packing=False)
    assert together["tokens"].shape == (1, 32)
    assert apart["tokens"].shape == (3, 32)
    with torch.no_grad():
        one, other = (
            model(batch["tokens"], batch["positions"], batch["targets"]) for batch in (together, apart)
        )
    assert one.item() == pytest.approx(other.item(), rel=1e-5)


def test_a_model_that_cannot_keep_documents_apart_is_refused_with_packing_alone(
    folders: dict[str, Path],
) -> None:
    def adapted() -> Any:
        base = hugging_face.load_causal_model(folders["bloom"])
        return hugging_face.add_adapters(base, LoraConfig(path="x"))

    with pytest.raises(ConfigError, match=r"model\.packing: .* see each other: set it to false"):
        CausalLoss(adapted(), packing=True)
    model = CausalLoss(adapted(), packing=False)
    batch = packed([Example(list(range(2, 12)), [True] * 10)], 16, packing=False)
    model(batch["tokens"], batch["positions"], batch["targets"]).backward()


def test_held_out_losses_made_in_parts_are_those_made_at_once(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.finetune import causal_loss

    model = causal(folders["llama"])
    batch = packed([Example(list(range(2, 150)), [True] * 148)] * 3, 160, packing=False)
    parts = batch["tokens"], batch["positions"], batch["targets"]
    with torch.no_grad():
        whole = model(*parts, "rows")
        monkeypatch.setattr(causal_loss, "EVALUATION_SCORES", 1)
        torch.testing.assert_close(model(*parts, "rows"), whole)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_loss_from_hidden_states_is_that_of_the_model_s_own_scores(
    folders: dict[str, Path], name: str
) -> None:
    model = causal(folders[name])
    batch = packed([Example(list(range(2, 30)), [True] * 28)], 32, packing=True)
    parts = batch["tokens"], batch["positions"], batch["targets"]
    assert model._plain_head
    with torch.no_grad():
        short = model(*parts)
        model._plain_head = False
        whole = model(*parts)
        rows = model(*parts, "rows")
    assert short.item() == pytest.approx(whole.item(), rel=1e-5)
    assert (rows[:, 0].sum() / rows[:, 1].sum()).item() == pytest.approx(whole.item(), rel=1e-5)


def test_a_model_that_bends_its_scores_is_not_taken_for_a_plain_one(folders: dict[str, Path]) -> None:
    model = hugging_face.load_causal_model(folders["llama"])
    assert hugging_face.plain_head(model) is not None
    model.get_output_embeddings().register_forward_hook(lambda *call: 5 * call[2])
    bent = model.forward

    def forward(*given: Any, **named: Any) -> Any:
        found = bent(*given, **named)
        found.logits = 30 * torch.tanh(found.logits)
        return found

    model.forward = forward
    assert hugging_face.plain_head(model) is None


def test_of_a_prompt_nothing_is_learned_unless_it_is_asked_for(folders: dict[str, Path]) -> None:
    tokenizer, pair = hugging_face.load_tokenizer(folders["llama"]), [("say alpha:", " alpha")]
    prompt, response = (tokenizer(text)["input_ids"] for text in pair[0])
    for learn, first in (("auto", False), ("all", True)):
        config = LoraConfig(path="x", learn=learn)  # type: ignore[arg-type]
        example = make_examples(pair, tokenizer, config, chat=False, prompted=True)[0]
        assert example.tokens == [*prompt, *response, tokenizer.eos_token_id]
        assert example.learned == [first] * len(prompt) + [True] * (len(response) + 1)


def test_a_chat_template_is_used_where_there_is_one_and_the_response_alone_is_learned(
    folders: dict[str, Path],
) -> None:
    tokenizer = hugging_face.load_tokenizer(folders["llama"])
    config = LoraConfig(path="x")
    assert not uses_chat_template(tokenizer, config, prompted=True)
    tokenizer.chat_template = TEMPLATE
    assert uses_chat_template(tokenizer, config, prompted=True)
    assert not uses_chat_template(tokenizer, config, prompted=False)
    example = make_examples([("hi", "yo")], tokenizer, config, chat=True, prompted=True)[0]
    learned = [token for token, wanted in zip(example.tokens, example.learned, strict=True) if wanted]
    assert tokenizer.decode(example.tokens) == "<user>hi\n<assistant>yo\n"
    assert tokenizer.decode(learned) == "yo\n"
    assert prompt_tokens("hi", tokenizer, chat=True) + learned == example.tokens
    assert tokenizer.decode(prompt_tokens("hi", tokenizer, chat=False)) == "hi"


def test_a_response_ends_with_what_the_template_ends_it_with(folders: dict[str, Path]) -> None:
    tokenizer = hugging_face.load_tokenizer(folders["llama"])
    assert end_tokens(tokenizer, chat=False) == [tokenizer.eos_token_id]
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|turn|>"]})
    tokenizer.chat_template = TEMPLATE.replace("\n{% endfor", "<|turn|>\n{% endfor")
    turn = tokenizer.convert_tokens_to_ids("<|turn|>")
    assert end_tokens(tokenizer, chat=True) == sorted([tokenizer.eos_token_id, turn])


def test_settings_that_need_prompts_are_refused_together_where_there_are_none(
    folders: dict[str, Path],
) -> None:
    tokenizer = hugging_face.load_tokenizer(folders["llama"])
    with pytest.raises(ConfigError) as caught:
        uses_chat_template(
            tokenizer, LoraConfig(path="x", learn="responses", template="chat"), prompted=False
        )
    told = "\n".join(caught.value.problems)
    assert "model.template: the tokenizer has no chat template" in told
    assert "model.learn: there are no prompts: name data.prompt_column" in told


@pytest.mark.parametrize("model", ["llama", "gpt2"])
def test_a_fine_tuned_model_is_better_than_before_and_loads_without_this_package(
    folders: dict[str, Path], tmp_path: Path, model: str
) -> None:
    config = config_of(folders, "samples=96", model=model)
    metrics = run(config, tmp_path)["metrics"]
    report = json.loads((tmp_path / "evaluation.json").read_text())
    before, after = report["baseline"]["metrics"]["val_loss"], report["metrics"]["val_loss"]
    assert after["high"] < before["low"]
    assert metrics["val_loss"] == after["value"] < before["value"] == metrics["val_loss_before"]

    import peft
    import transformers

    merged = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model" / "merged").eval()
    base = transformers.AutoModelForCausalLM.from_pretrained(folders[model]).eval()
    tokens = torch.arange(2, 20)[None]
    with torch.no_grad():
        untouched = base(input_ids=tokens).logits
        with hugging_face.quiet():
            adapted = peft.PeftModel.from_pretrained(base, tmp_path / "model" / "adapter").eval()
        torch.testing.assert_close(adapted(input_ids=tokens).logits, merged(input_ids=tokens).logits)
        assert not torch.allclose(untouched, merged(input_ids=tokens).logits, atol=1e-2)
    assert not (tmp_path / "model" / "model.safetensors").exists()

    predictor = Predictor.load(tmp_path / "model")
    answer = predictor.predict([{"prompt": "say beta:", "length": 4, "seed": 5}])[0]
    assert answer["text"] == "say beta:" + answer["response"]
    assert predictor.predict([{"prompt": "say beta:", "length": 4, "seed": 5}])[0] == answer


def test_checkpoints_hold_the_adapters_alone_and_a_stopped_run_goes_on_to_the_same_losses(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    config = config_of(folders, "model.merged=false", "model.dropout=0.1")
    (tmp_path / "whole" / "model" / "merged").mkdir(parents=True)  # of a run in the same folder before
    run(config, tmp_path / "whole")
    run(config, tmp_path / "parts", stop_after=6)
    newest = max((tmp_path / "parts" / "checkpoints").glob("step-*"), key=lambda each: int(each.name[5:]))
    saved = FileSystemReader(newest).read_metadata().state_dict_metadata
    assert saved and all("lora_" in name for name in saved)
    run(config, tmp_path / "parts")
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert not (tmp_path / "whole" / "model" / "merged").exists()
    # The adapters alone, put into the model that they were trained on.
    answer = Predictor.load(tmp_path / "whole" / "model").predict([{"prompt": "say", "length": 2}])[0]
    assert answer["tokens"] <= 2


def test_only_the_adapters_are_trained_and_they_can_be_named(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    config = config_of(folders, 'model.targets=["q_proj", "v_proj"]')
    folder = find_dataset(config, may_prepare=True)
    assert folder is not None and isinstance(config.model, LoraConfig)
    model = FinetuneTask(config.model, open_dataset(folder)).build_model()
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert names and all("lora_" in name and ("q_proj" in name or "v_proj" in name) for name in names)
    wrong = LoraConfig(path=str(folders["llama"]), targets=("no_such",))
    with pytest.raises(ConfigError, match=r"model\.targets: .*no_such"):
        hugging_face.add_adapters(hugging_face.load_causal_model(folders["llama"]), wrong)


def test_the_flops_of_a_token_are_four_for_each_weight_of_a_matrix(folders: dict[str, Path]) -> None:
    config = config_of(folders)
    folder = find_dataset(config, may_prepare=True)
    assert folder is not None and isinstance(config.model, LoraConfig)
    flops = FinetuneTask(config.model, open_dataset(folder)).flops_per_sample()
    layer = 32 * 32 * 2 + 32 * 16 * 2 + 3 * 32 * 64
    assert flops.forward_backward_per_sample == 48 * (4 * (4 * layer + 320 * 32) + 12 * 4 * 32 * 48)


def test_folders_that_could_run_code_or_hold_no_model_are_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"has no config\.json"):
        hugging_face.model_folder(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ConfigError, match="formats can run code"):
        hugging_face.model_folder(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        hugging_face.load_causal_model(hugging_face.model_folder(str(tmp_path)))
    with pytest.raises(ConfigError, match="has no tokenizer that can be read"):
        hugging_face.load_tokenizer(tmp_path)


def test_a_missing_package_is_one_line_that_says_what_to_install(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match="pip install 'transformers"):
        hugging_face.load_causal_model(folders["llama"])


def test_the_evaluation_leaves_the_adapters_on(folders: dict[str, Path]) -> None:
    config = config_of(folders)
    folder = find_dataset(config, may_prepare=True)
    assert folder is not None and isinstance(config.model, LoraConfig)
    task = FinetuneTask(config.model, open_dataset(folder))
    model = causal(folders["llama"])
    with torch.no_grad():
        first, second = (task.evaluate(model, ALONE) for _ in range(2))
    assert first["val_loss"] == second["val_loss"] != first["val_loss_before"]
    assert any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.sandbox
def test_a_model_is_fetched_from_s3_once(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Any
) -> None:
    from fleet import aws
    from trainer.aws import client as trainer_client

    for name, value in sandbox.variables.items():
        monkeypatch.setenv(name, value)
    trainer_client.cache_clear()
    s3 = aws.client(sandbox, "s3", "us-east-1")
    s3.create_bucket(Bucket="finetune-models")
    for file in folders["llama"].iterdir():
        s3.upload_file(str(file), "finetune-models", f"llama/{file.name}")
    s3.put_object(Bucket="finetune-models", Key="llama/evil.bin", Body=b"pickle")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = hugging_face.model_folder("s3://finetune-models/llama")
    assert {file.name for file in folder.iterdir()} == {file.name for file in folders["llama"].iterdir()}
    assert (folder / "model.safetensors").read_bytes() == (
        folders["llama"] / "model.safetensors"
    ).read_bytes()
    before = (folder / "config.json").stat().st_mtime_ns
    assert hugging_face.model_folder("s3://finetune-models/llama/") == folder
    assert (folder / "config.json").stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match="there is no model's file below"):
        hugging_face.model_folder("s3://finetune-models/nothing")


def test_the_command_tells_a_wrong_folder_in_one_line(folders: dict[str, Path], tmp_path: Path) -> None:
    """As a user sees it: exit 2, no traceback."""
    command = [sys.executable, "-m", "trainer", "finetune", "model.path=/nowhere"]
    command += [f"data.path={folders['pairs.jsonl']}", "device=cpu"]
    told = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "FLEETFORM_RUN_DIR": str(tmp_path)},
    )
    assert told.returncode == 2
    assert "model.path: /nowhere has no config.json" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_dry_run_tells_the_adapters_from_the_weights(folders: dict[str, Path]) -> None:
    from trainer.dry_run import measure

    config = config_of(folders)
    folder = find_dataset(config, may_prepare=True)
    assert folder is not None and isinstance(config.model, LoraConfig)
    shape = measure(FinetuneTask(config.model, open_dataset(folder)))
    assert 0 < shape.trained < shape.parameters / 2
    assert shape.blocks == 4
    assert shape.activation_bytes is not None
