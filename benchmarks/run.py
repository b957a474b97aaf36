"""Every benchmark in turn; figures depend on the machine, ratios less so."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

for words in (
    ["commands.py"],
    ["distances.py"],
    ["one_pass.py"],
    ["geometry.py"],
    ["shared_space.py"],
    ["transform.py"],
    ["embedding.py"],
    ["caption_scores.py"],
    ["captioner.py"],
    ["mixed_search.py"],
    ["optimization.py"],
    ["distances.py", "--memory", "200000"],
):
    print(f"\n$ python benchmarks/{' '.join(words)}", flush=True)
    subprocess.run([sys.executable, HERE / words[0], *words[1:]], check=True)
