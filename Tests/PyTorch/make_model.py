"""Makes a small model with PyTorch, as another program would save it, for `lockstep import`.

    python make_model.py MODEL CHARACTERS

Writes safetensors with the names behind `model.`, and the characters, in the order of the model's tokens, as a JSON list
to MODEL.json. Prints the model's loss on the characters, as a text.
"""

import json
import sys

import torch
from char_lstm import CharLSTM, loss
from safetensors.torch import save_file

path, text = sys.argv[1:]
# Not in ascending order, as where a program takes list(set(text)).
characters = sorted(set(text), key=lambda character: (ord(character) * 7919) % 104729)
torch.manual_seed(5)
model = CharLSTM(len(characters), 24, 2).eval()
# Wide enough for the characters to matter.
for parameter in model.parameters():
    torch.nn.init.uniform_(parameter, -0.5, 0.5)
save_file({"model." + name: tensor for name, tensor in model.state_dict().items()}, path)
json.dump(characters, open(path + ".json", "w", encoding="utf-8"))
print(loss(model, characters, text))
