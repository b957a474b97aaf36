"""Where `isthmus theory` writes its simulations to."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from isthmus.cli.show import say, show
from isthmus.whole import write_whole


@dataclass
class Output:
    """Where a simulation goes.

    Parameters
    ----------
    out : Path
        Folder to write NAME.json and, if there is one, the picture NAME.svg to; made if it is not there.
    as_json : bool
        Print one JSON object.
    """

    out: Path | None = None
    as_json: Annotated[bool, Parameter("--json", negative="")] = False

    def check(self, name: str, *others: str) -> None:
        """Make the folder for a simulation and other files before any work is done, or raise."""
        if self.out is None:
            return
        if self.out.exists() and not self.out.is_dir():
            raise ValueError(f"--out must be a folder, {self.out} is a file")
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"--out: {self.out} cannot be made: {error.strerror}") from error
        if not os.access(self.out, os.W_OK | os.X_OK):
            raise ValueError(f"--out must be a folder to write to, {self.out} is read-only")
        for file in (*_files(name), *others):
            for path in (self.out / file, self.out / f"{file}.writing"):  # written there, then renamed
                if path.is_dir():
                    raise ValueError(f"--out: {path} is to be a file, and is a folder")

    def give(self, simulation: Any) -> None:
        """Write a simulation if it is to be, and print it."""
        if self.out is not None:
            self._write(self.out, simulation)
        show(simulation, as_json=self.as_json)

    def _write(self, out: Path, simulation: Any) -> None:
        from isthmus.report.simulation_figures import simulation_svg

        files = _files(simulation.name)
        for file in files:
            text = (
                simulation_svg(simulation)
                if file.endswith(".svg")
                else json.dumps(simulation.to_dict(), indent=1) + "\n"
            )
            write_whole(out / file, text.encode())
        say(f"{' and '.join(files)}: {out}")


def _files(name: str) -> list[str]:
    """What is written of a simulation of this name."""
    from isthmus.report.simulation_figures import PICTURED

    return [f"{name.replace('_', '-')}{ending}" for ending in (".json", *[".svg"] * (name in PICTURED))]


Given = Annotated[Output, Parameter("*")]
