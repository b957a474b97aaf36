"""The commands, and what every one of them does at its end: messages and exit codes."""

import os
import sys

from cyclopts import App, CycloptsError

import isthmus

_COMMANDS = {
    "embed": "Embed images, sounds, videos and captions into a store, which the other commands read.",
    "measure": "Measure the gap between two modalities, and how well each finds the other.",
    "geometry": "Measure whether the gap is constant and orthogonal, and its noise Gaussian, as C3 proposes.",
    "compare": "Compare aligners on held-out pairs: what each gains, and what it costs.",
    "evaluate": "Evaluate a saved aligner on held-out items: what it does to retrieval and other tasks.",
    "align": "Fit one aligner, verify it on held-out pairs, and save it.",
    "calibrate": "Learn how probable a match is at each cosine, verify it on held-out pairs, and save it.",
    "apply": "Map embeddings, or a whole store, with a saved aligner.",
    "export": "Write an aligner for where vectors live: ONNX, torch or NumPy.",
    "arithmetic": "Add and subtract embeddings of any modality, and find what is nearest.",
    "caption": "Train a captioner on captions alone, write captions with it, and score them.",
    "reproduce": "Run tables of the C3 paper on the world, and print them beside the paper's figures.",
    "theory": "Simulate why the gap exists, each figure beside its closed-form prediction.",
    "world": "Train and measure the encoders of the world that comes with isthmus.",
    "demo": "Embed, measure, compare, align and apply on scenes of the world, with a report.",
}

app = App(
    name="isthmus",
    help="Measure the modality gap of paired embeddings, close it, and prove what it cost.",
    version=isthmus.__version__,
    help_format="markdown",
    exit_on_error=False,
    suppress_keyboard_interrupt=False,
)
for _name, _help in _COMMANDS.items():
    app.command(f"isthmus.cli.{_name}:{_name}", name=_name, help=_help)  # imported when it is called


def main() -> None:
    """Run the command line and exit: 0 done, 2 bad usage or input, 130 interrupted."""
    try:
        app(sys.argv[1:])
        sys.stdout.flush()
    except CycloptsError:
        sys.exit(2)  # it has said why
    except BrokenPipeError:  # whoever reads our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get("ISTHMUS_TRACEBACK"):
            raise
        sys.exit(_complain(error))
    except KeyboardInterrupt:
        print("isthmus: interrupted", file=sys.stderr)
        sys.exit(130)


def _complain(error: Exception) -> int:
    print(f"isthmus: {error}", file=sys.stderr)
    return 2
