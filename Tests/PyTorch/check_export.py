"""Holds a model that lockstep exported against PyTorch: the same loss on a text, within 1e-5.

    python check_export.py LOCKSTEP MODEL TEXT

LOCKSTEP is the executable, MODEL a file that `lockstep export` wrote. Needs torch and safetensors.
"""

import json
import subprocess
import sys

from char_lstm import load, loss

lockstep, path, corpus = sys.argv[1:]
model, characters = load(path)
text = open(corpus, encoding="utf-8", newline="").read()
theirs = loss(model, characters, text)
report = json.loads(subprocess.run([lockstep, "evaluate", path, corpus, "--json"], check=True, capture_output=True).stdout)
difference = abs(theirs - report["loss"])
print(f"PyTorch {theirs:.7f}, lockstep {report['loss']:.7f}, difference {difference:.1e}, {report['characters']} characters")
if report["unknown_characters"] != sum(character not in characters for character in text):
    sys.exit("the counts of unknown characters differ")
if difference > 1e-5:
    sys.exit("the losses differ by more than 1e-5")
