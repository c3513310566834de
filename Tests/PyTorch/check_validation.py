"""Holds the validation loss that a finished run has recorded of its last step against PyTorch, within 1e-5.

    python check_validation.py RUN MODEL CORPUS

RUN is the run's folder, MODEL what `lockstep export RUN` wrote, CORPUS the text that it was trained on, of which a tail was
held out. Needs torch and safetensors.
"""

import json
import sys
from pathlib import Path

import torch
from char_lstm import load
from torch import nn

run, path, corpus = sys.argv[1:]
model, characters = load(path)
settings = json.loads(Path(run, "run.json").read_text())
lines = [json.loads(line) for line in Path(run, "metrics.jsonl").read_text().splitlines()]
recorded = lines[-1]["validation_loss"]

tokens = {character: token for token, character in enumerate(characters)}
text = open(corpus, encoding="utf-8", newline="").read()
held_out = torch.tensor([tokens[c] for c in text[int(len(text) * (1 - settings["validation"])) :]])
window = settings["window"]
rows = max(1, min(settings["batch"], len(held_out) // (window * 10)))
length = len(held_out) // (rows * window) * window
inputs = held_out[: rows * length].view(rows, length)
# The last character of a row has the row's own first as its target, as in the char-RNN notebooks.
targets = inputs.roll(-1, 1)

total, state = 0.0, None
with torch.no_grad():
    for start in range(0, length, window):
        x = nn.functional.one_hot(inputs[:, start : start + window], len(characters)).float()
        logits, state = model(x, state)
        y = targets[:, start : start + window]
        total += nn.functional.cross_entropy(logits.flatten(0, 1).double(), y.flatten(), reduction="sum").item()
theirs = total / (rows * length)
difference = abs(theirs - recorded)
print(f"PyTorch {theirs:.7f}, the run {recorded:.7f}, difference {difference:.1e}, {rows} rows of {length}")
if difference > 1e-5:
    sys.exit("the losses differ by more than 1e-5")
