"""Every kind of model that a recipe can name, by its `kind`."""

from __future__ import annotations

from collections.abc import Mapping

from trainer.configs.lora import LoraConfig as LoraConfig
from trainer.configs.picture_models import DigitsCNNConfig as DigitsCNNConfig
from trainer.configs.picture_models import ResNetConfig as ResNetConfig
from trainer.configs.picture_models import ViTConfig as ViTConfig
from trainer.configs.table_models import MLPConfig as MLPConfig
from trainer.configs.text_models import GPTConfig as GPTConfig
from trainer.configs.text_models import TextClassifierConfig as TextClassifierConfig

ModelConfig = (
    DigitsCNNConfig | ResNetConfig | ViTConfig | MLPConfig | GPTConfig | TextClassifierConfig | LoraConfig
)
MODEL_CONFIGS: Mapping[str, type[ModelConfig]] = {
    "digits_cnn": DigitsCNNConfig,
    "resnet": ResNetConfig,
    "vit": ViTConfig,
    "mlp": MLPConfig,
    "gpt": GPTConfig,
    "text_classifier": TextClassifierConfig,
    "lora": LoraConfig,
}
