"""Holds a model that lockstep exported against PyTorch: the same loss on a text, within 1e-5.

    python check_export.py LOCKSTEP MODEL TEXT [--uncut]

LOCKSTEP is the executable, MODEL what `lockstep export` wrote, a file or its folder. With `--uncut` both read the whole text in one pass.
Needs torch and safetensors.
"""

import json
import subprocess
import sys

from char_lstm import load, loss

lockstep, path, corpus, *flags = sys.argv[1:]
model, characters = load(path)
text = open(corpus, encoding="utf-8", newline="").read()
cut = {"length": len(text), "context": 0} if "--uncut" in flags else {}
theirs = loss(model, characters, text, **cut)
exact = loss(model.double(), characters, text, **cut)
command = [lockstep, "evaluate", path, corpus, "--json", *flags]
report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
difference = abs(theirs - report["loss"])
print(f"PyTorch {theirs:.7f}, lockstep {report['loss']:.7f}, difference {difference:.1e}, {report['characters']} characters")
print(f"PyTorch in double precision {exact:.7f}, difference {abs(exact - report['loss']):.1e}")
if report["unknown_characters"] != sum(character not in characters for character in text):
    sys.exit("the counts of unknown characters differ")
if difference > 1e-5:
    sys.exit("the losses differ by more than 1e-5")
