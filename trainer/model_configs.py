"""Every kind of model that a recipe can name, by its `kind`."""

from __future__ import annotations

from collections.abc import Mapping

from trainer.lora_config import LoraConfig as LoraConfig
from trainer.picture_model_configs import DigitsCNNConfig as DigitsCNNConfig
from trainer.picture_model_configs import ResNetConfig as ResNetConfig
from trainer.picture_model_configs import ViTConfig as ViTConfig
from trainer.table_model_configs import MLPConfig as MLPConfig
from trainer.text_model_configs import GPTConfig as GPTConfig
from trainer.text_model_configs import TextClassifierConfig as TextClassifierConfig

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
