"""A decoder-only transformer (GPT) with rotary positions and RMS norm."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from trainer.configs.text_models import GPTConfig
from trainer.models.token_loss import linear_cross_entropy, most_scores
from trainer.models.transformer import Block, KeyValueCache, RMSNorm, initialize, narrowed, rotary_tables

VOCABULARY_MULTIPLE = 64
"""The scores' matrix is made that even: tensor cores are slow at others. Padding tokens are never seen."""


class GPT(nn.Module):
    """Token embedding, blocks of attention and feed-forward, next-token scores."""

    def __init__(self, config: GPTConfig, vocabulary_size: int) -> None:
        super().__init__()
        shape = config.shape
        self.config = config
        self.context = shape.context
        self.vocabulary_size = vocabulary_size
        self.most_scores = most_scores()
        rows = -(-vocabulary_size // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE
        self.embedding = nn.Embedding(rows, shape.width)
        self.blocks = nn.ModuleList(
            Block(shape.width, shape.num_heads, feed_forward=config.feed_forward, dropout=config.dropout)
            for _ in range(shape.num_layers)
        )
        self.norm = RMSNorm(shape.width)
        # With tied weights the scores use the embedding itself: safetensors refuses a second name for it.
        self.scores = None if config.tied else nn.Linear(shape.width, rows, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        cosine, sine = rotary_tables(shape.context, shape.width // shape.num_heads)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)
        initialize(self, shape.num_layers)

    def forward(
        self, tokens: Tensor, targets: Tensor | None = None, caches: list[KeyValueCache] | None = None
    ) -> Tensor:
        """Return the scores [n, length, rows] of the token after each of tokens [n, length].

        With targets [n, length], return the mean cross-entropy in nats instead; it is made here so that what
        wraps the model (FSDP) has the scores' weights at hand. With caches, one a block, the tokens go on
        from those that the caches have seen.
        """
        assert isinstance(self.cosine, Tensor) and isinstance(self.sine, Tensor)
        past = caches[0].parts[0][0].shape[2] if caches and caches[0].parts else 0
        span = slice(past, past + tokens.shape[1])
        rotary = self.cosine[span], self.sine[span]
        x = self.dropout(narrowed(self.embedding(tokens)))
        for number, block in enumerate(self.blocks):
            x = block(x, rotary) if caches is None else block(x, rotary, None, caches[number])
        x = self.norm(x)
        weight = self.embedding.weight if self.scores is None else self.scores.weight
        if targets is None:
            return functional.linear(x, weight)
        return linear_cross_entropy(x.flatten(0, 1), weight, targets.flatten(), self.most_scores)
