"""A tutorial as blocks, and what runs them in the folder it stands in.

Above a block an HTML comment, which no page shows, may say what the test does with it:

    <!-- not run: REASON -->       only its options are looked up
    <!-- file: NAME -->            it is the content of a file
    <!-- stopped after epoch 1 --> Ctrl-C comes in the epoch after that
    <!-- status: 2 -->             how it ends, where that isn't 0
"""

import contextlib
import difflib
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recbole_symcere.base.options import parse_pairs
from recbole_symcere.cli import main

_BLOCK = re.compile(r"^(?:<!--\s*(.*?)\s*-->\n)?```(\w+)\n(.*?)^```$", re.M | re.S)
_PROGRAM = "recbole-symcere"
_SHELL = {"console", "sh"}
_TAKES_SETTINGS = {"", "tune", "compare", "encode", "audit"}


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    kind: str
    text: str
    line: int
    mark: str

    def commands(self) -> Iterator[tuple[str, list[str]]]:
        """Each command with the lines that the tutorial shows of what it says."""
        text = self.text.replace("\\\n", " ")
        if self.kind == "sh":
            yield from ((c, []) for c in text.splitlines() if c and not c.startswith("#"))
            return
        for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
            command, *shown = part.splitlines()
            yield command, [line for line in shown if line.strip() not in {"", "..."}]


def blocks_of(text: str) -> list[Block]:
    """All fenced blocks, in order."""
    return [
        Block(kind, body, text[: found.start()].count("\n") + 1, mark or "")
        for found in _BLOCK.finditer(text)
        for mark, kind, body in [found.groups()]
    ]


@dataclass
class Reader:
    """Somebody who follows a tutorial.

    Args:
        capture: pytest's capfd.
        replaced: words of a command that a short run has otherwise.
        appended: words that a command gets at its end, by its name ("" trains), as far as it
            hasn't these options.
    """

    capture: object
    replaced: Mapping[str, str]
    appended: Mapping[str, Sequence[str]]
    names: dict = field(default_factory=dict)

    def follow(self, text: str) -> None:
        """Run all blocks."""
        for block in blocks_of(text):
            self._do(block)

    def _do(self, block: Block) -> None:
        if block.mark.startswith("file: "):
            path = Path(block.mark.removeprefix("file: "))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.mark.startswith("not run: "):
            for command, _ in block.commands() if block.kind in _SHELL else ():
                self._look_up(command, block.line)
        elif block.kind == "python":
            exec(compile(block.text, f"line {block.line}", "exec"), self.names)  # noqa: S102
        elif block.kind in _SHELL:
            self._run_commands(block)

    def _run_commands(self, block: Block) -> None:
        wanted = int((re.search(r"status: (\d+)", block.mark) or [0, 0])[1])
        stop = re.search(r"stopped after epoch (\d+)", block.mark)
        with stopping(int(stop[1])) if stop else contextlib.nullcontext():
            for command, shown in block.commands():
                self.capture.readouterr()
                status = self._run(command)
                said = "".join(self.capture.readouterr())
                where = f"line {block.line}: {command}\n"
                assert status == (130 if stop else wanted), f"{where}ended with {status}:\n{said}"
                for line in shown:
                    assert_said(line, said, where)

    def _run(self, command: str) -> int:
        words = self.words_of(command)
        if words[0] == _PROGRAM:
            return main(words[1:])
        if words[0] == "python":
            before, sys.argv = sys.argv, words[1:]
            try:
                runpy.run_path(words[1], run_name="__main__")
            finally:
                sys.argv = before
            return 0
        return subprocess.run(["bash", "-ec", shlex.join(words)]).returncode

    def words_of(self, command: str) -> list[str]:
        """The words of a command as the short run has them."""
        words = [self.replaced.get(w, w) for w in shlex.split(command, comments=True)]
        for group in self._group(words):
            given = {word.partition("=")[0] for word in words}
            words += [w for w in self.appended.get(group, ()) if w.partition("=")[0] not in given]
        return words

    @staticmethod
    def _group(words: list[str]) -> list[str]:
        if words[0] == "python":
            return [words[1]]
        if words[0] != _PROGRAM or any(w.startswith("--resume") for w in words):
            return []
        names = [w for w in words[1:3] if not w.startswith("-")]
        model = next((w.partition("=")[2] for w in words if w.startswith("--model=")), "")
        return [" ".join(names), f"{' '.join(names)} {model}".strip()] if names else ["", model]

    def _look_up(self, command: str, line: int) -> None:
        """Fail where an option isn't one of those that help tells of."""
        words = shlex.split(command, comments=True)
        if words[:1] != [_PROGRAM]:
            return
        names = [w for w in words[1:3] if not w.startswith("-")]
        given = parse_pairs(words[1 + len(names) :])
        self.capture.readouterr()
        if names:
            main([*names, "--help"])
        if not names or names[0] in _TAKES_SETTINGS:
            main(["--help"])
            main([f"--model={given.get('model', 'SymCERE')}", "--help"])
        told = set(re.findall(r"^  --(\w+)", self.capture.readouterr().out, re.M))
        known = told | {"resume", "run_dir"}
        assert set(given) <= known, f"line {line}: {command}\nunknown: {set(given) - known}"


@contextlib.contextmanager
def stopping(epoch: int) -> Iterator[None]:
    """Ctrl-C in the epoch after this one."""
    from recbole_symcere.run.trainer import Resumable

    train = Resumable._train_epoch

    def train_or_stop(self, train_data, epoch_idx, *args, **kwargs):
        if epoch_idx > epoch:
            raise KeyboardInterrupt
        return train(self, train_data, epoch_idx, *args, **kwargs)

    Resumable._train_epoch = train_or_stop
    try:
        yield
    finally:
        Resumable._train_epoch = train


def assert_said(line: str, said: str, where: str = "") -> None:
    """Fail unless a line was said, whatever its numbers, widths and marks of a better epoch."""
    told = [_plain(one) for one in said.splitlines()]
    wanted = _plain(line)
    if wanted.endswith(" ..."):
        found = any(one.startswith(wanted.removesuffix(" ...")) for one in told)
    else:
        found = wanted in told
    near = "\n".join(difflib.get_close_matches(wanted, told, 3, 0.3)) or said
    assert found, f"{where}shows\n{wanted}\nbut nearest are\n{near}"


def _plain(line: str) -> str:
    line = re.sub(r"\b[A-Za-z]+-?\d+\b", "0", line)  # ids such as u001 and lamp-07
    line = re.sub(r"[-+]?\d[\d,.]*", "0", line).replace(" * ", " ")
    return " ".join(line.split())
