"""A character LSTM as a PyTorch user writes it, with the names that lockstep reads and writes."""

import json

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
    """An exported model and its characters, in the order of their tokens."""
    with safe_open(path, "pt") as file:
        characters = json.loads(file.metadata()["vocabulary"])["characters"]
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    vocabulary, hidden = tensors["fc.weight"].shape
    layers = sum(name.startswith("lstm.weight_hh_l") for name in tensors)
    model = CharLSTM(vocabulary, hidden, layers, bias="lstm.bias_ih_l0" in tensors)
    model.load_state_dict(tensors)
    return model.eval(), characters


@torch.no_grad()
def loss(model, characters, text, piece=4096):
    """The mean loss in nats of every character of a text but the first, given all before it. Unknown ones are left out."""
    tokens = {character: token for token, character in enumerate(characters)}
    known = torch.tensor([tokens[character] for character in text if character in tokens])
    total, state = 0.0, None
    for start in range(0, len(known) - 1, piece):
        inputs = known[start : start + piece + 1]
        one_hot = nn.functional.one_hot(inputs[:-1], len(characters)).float()[None]
        logits, state = model(one_hot, state)
        total += nn.functional.cross_entropy(logits[0].double(), inputs[1:], reduction="sum").item()
    return total / (len(known) - 1)
