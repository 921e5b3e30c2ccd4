"""Hugging Face's families, from configurations of a few units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.albert import AlbertConfig, AlbertForSequenceClassification
from transformers.models.bert import BertConfig, BertForSequenceClassification
from transformers.models.distilbert import DistilBertConfig, DistilBertForSequenceClassification
from transformers.models.gpt2 import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel
from transformers.models.llama import LlamaConfig, LlamaForSequenceClassification
from transformers.models.t5 import T5Config, T5ForSequenceClassification
from transformers.models.vit import ViTConfig, ViTForImageClassification

from foreign.network import NUM_CLASSES, Batch, Foreign, adam, images

VOCABULARY = 19
LENGTH = 5


class Keywords(nn.Module):
    """What takes keywords, as a network of one argument: a dictionary of them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: dict[str, Any]) -> Any:
        return self.network(**inputs)


def sentences(seed: int) -> Batch:
    """Words, the last ones of some sentences masked, as a tokenizer gives them."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(2, VOCABULARY - 1, (6, LENGTH), generator=generator)
    words[:, -1] = VOCABULARY - 1
    mask = torch.ones_like(words)
    return {"input_ids": words, "attention_mask": mask}, torch.randint(
        NUM_CLASSES, (6,), generator=generator
    )


def pictures(seed: int) -> Batch:
    pixels, targets = images(8)(seed)
    return {"pixel_values": pixels}, targets


def next_words(seed: int) -> Batch:
    inputs, _ = sentences(seed)
    return inputs, inputs["input_ids"][:, 1:] % NUM_CLASSES


def logits(outputs: Any) -> Tensor:
    found: Tensor = outputs.logits
    return found


def logits_of_next(outputs: Any) -> Tensor:
    found: Tensor = outputs.logits[:, :-1].transpose(1, 2)
    return found


def of(network: type[Any], config: type[Any], **settings: Any) -> Callable[[], nn.Module]:
    return lambda: Keywords(network(config(**settings)))


words: dict[str, Any] = {"vocab_size": VOCABULARY, "num_labels": NUM_CLASSES, "pad_token_id": 0}
body: dict[str, Any] = {
    "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
}  # fmt: skip

HUGGING_FACE = [
    Foreign(
        name="hf bert",
        build=of(
            BertForSequenceClassification, BertConfig, max_position_embeddings=8, **words, **body
        ),
        batch=sentences,
        logits=logits,
        optimizer=adam,
        feature_axis=-1,
    ),
    Foreign(
        name="hf distilbert",
        build=of(
            DistilBertForSequenceClassification,
            DistilBertConfig,
            max_position_embeddings=8,
            dim=8,
            n_layers=2,
            n_heads=2,
            hidden_dim=16,
            **words,
        ),
        batch=sentences,
        logits=logits,
        feature_axis=-1,
    ),
    Foreign(
        name="hf albert",
        build=of(
            AlbertForSequenceClassification,
            AlbertConfig,
            embedding_size=6,
            max_position_embeddings=8,
            **words,
            **body,
        ),
        batch=sentences,
        logits=logits,
        feature_axis=-1,
    ),
    Foreign(
        name="hf gpt2",
        build=of(
            GPT2ForSequenceClassification,
            GPT2Config,
            n_positions=8,
            n_embd=8,
            n_layer=2,
            n_head=2,
            bos_token_id=1,
            eos_token_id=1,
            **words,
        ),
        batch=sentences,
        logits=logits,
        feature_axis=-1,
    ),
    Foreign(
        name="hf gpt2 tied",
        build=of(
            GPT2LMHeadModel,
            GPT2Config,
            n_positions=8,
            n_embd=8,
            n_layer=1,
            n_head=2,
            bos_token_id=1,
            eos_token_id=1,
            **words,
        ),
        batch=next_words,
        logits=logits_of_next,
        feature_axis=-1,
    ),
    Foreign(
        name="hf llama",
        build=of(
            LlamaForSequenceClassification,
            LlamaConfig,
            num_key_value_heads=1,
            max_position_embeddings=8,
            bos_token_id=1,
            eos_token_id=1,
            **words,
            **body,
        ),
        batch=sentences,
        logits=logits,
        optimizer=adam,
        feature_axis=-1,
    ),
    Foreign(
        name="hf t5",
        build=of(
            T5ForSequenceClassification,
            T5Config,
            d_model=8,
            d_kv=4,
            d_ff=16,
            num_layers=1,
            num_heads=2,
            decoder_start_token_id=0,
            eos_token_id=VOCABULARY - 1,
            **words,
        ),
        batch=sentences,
        logits=logits,
        feature_axis=-1,
    ),
    Foreign(
        name="hf vit",
        build=of(
            ViTForImageClassification,
            ViTConfig,
            image_size=8,
            patch_size=4,
            num_labels=NUM_CLASSES,
            **body,
        ),
        batch=pictures,
        logits=logits,
        feature_axis=-1,
    ),
]
