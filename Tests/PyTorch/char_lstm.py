"""A character LSTM as a PyTorch user writes it, with the names that lockstep reads and writes."""

import json
import os

import torch
from safetensors import safe_open
from torch import nn


class CharLSTM(nn.Module):
    def __init__(self, vocabulary, hidden, layers, bias=True):
        super().__init__()
        self.lstm = nn.LSTM(vocabulary, hidden, layers, bias=bias, batch_first=True)
        self.fc = nn.Linear(hidden, vocabulary)

    def forward(self, x, state=None):
        output, state = self.lstm(x, state)
        return self.fc(output), state


def load(path):
    """An exported model, or the one in a folder, and its characters, in the order of their tokens."""
    if os.path.isdir(path):
        path = os.path.join(path, "model.safetensors")
    with safe_open(path, "pt") as file:
        characters = json.loads(file.metadata()["vocabulary"])["characters"]
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    vocabulary, hidden = tensors["fc.weight"].shape
    layers = sum(name.startswith("lstm.weight_hh_l") for name in tensors)
    model = CharLSTM(vocabulary, hidden, layers, bias="lstm.bias_ih_l0" in tensors)
    model.load_state_dict(tensors)
    return model.eval(), characters


@torch.no_grad()
def loss(model, characters, text, length=4096, context=512):
    """The mean loss in nats of every character of a text but the first, as `lockstep evaluate` defines it: unknown
    characters are left out, and each segment is read from `context` characters before it. With a length of at least the
    text's it is one pass."""
    tokens = {character: token for token, character in enumerate(characters)}
    known = torch.tensor([tokens[character] for character in text if character in tokens])
    total = 0.0
    for start in range(0, len(known) - 1, length):
        first = max(0, start - context)
        read = known[first : start + length + 1]
        one_hot = nn.functional.one_hot(read[:-1], len(characters))[None].to(model.fc.weight.dtype)
        logits, _ = model(one_hot)
        scored = slice(start - first, None)
        total += nn.functional.cross_entropy(logits[0, scored].double(), read[1:][scored], reduction="sum").item()
    return total / (len(known) - 1)
