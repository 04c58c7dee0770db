"""A shell script cut into commands of words, with the place of every word. Comments and here-documents are left out; nothing is run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BREAK = ("\n", ";", "&", "|", "(", ")")
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)([A-Za-z_][A-Za-z0-9_]*)\1")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command. `known` is False when it contains an expansion; `text` then still shows it."""

    text: str
    line: int
    column: int
    known: bool = True
    quoted: bool = False


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text, self.at, self.line, self.start = text, 0, 1, 0

    def step(self) -> str:
        sign = self.text[self.at]
        self.at += 1
        if sign == "\n":
            self.line += 1
            self.start = self.at
        return sign

    def commands(self) -> Iterator[list[Word]]:
        words: list[Word] = []
        pending: list[str] = []
        in_array = False  # between NAME=( and ): there a line break is a blank
        while self.at < len(self.text):
            sign = self.text[self.at]
            if sign in " \t\r" or (in_array and sign == "\n"):
                self.step()
            elif self.text.startswith("\\\n", self.at) or self.text.startswith("\\\r\n", self.at):
                self.step()
                if self.text[self.at] == "\r":
                    self.step()
                self.step()
            elif sign == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif sign in _BREAK:
                self.step()
                in_array = sign == "(" and bool(words) and words[-1].text.endswith("=")
                if words:
                    yield words
                    words = []
                if sign == "\n" and pending:
                    self._skip_heredocs(pending)
                    pending = []
            elif (
                self.text.startswith("<<", self.at)
                and not self.text.startswith("<<<", self.at)
                and (match := _HEREDOC.match(self.text, self.at))
            ):
                pending.append(match[2])
                self.at = match.end()
            else:
                words.append(self._word())
        if words:
            yield words

    def _skip_heredocs(self, names: list[str]) -> None:
        for name in names:
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                line = self.text[self.at : end]
                self.at = min(end + 1, len(self.text))
                self.line += 1
                self.start = self.at
                if line.strip() == name:
                    break

    def _word(self) -> Word:
        line, column = self.line, self.at - self.start + 1
        out: list[str] = []
        known, quoted = True, self.text[self.at] in "\"'"
        while self.at < len(self.text):
            sign = self.text[self.at]
            if sign in " \t\r\n;&|()" and not (sign == "(" and out and out[-1].endswith("=")):
                break
            if sign == "\\" and self.at + 1 < len(self.text):
                self.step()
                escaped = self.step()
                out.append("" if escaped == "\n" else escaped)
            elif sign == "'":
                self.step()
                out.append(self._until("'"))
            elif sign == '"':
                self.step()
                text, clean = self._double()
                known = known and clean
                out.append(text)
            elif sign in "$`":
                out.append(self._expansion())
                known = False
            elif sign == "(":
                break
            else:
                out.append(self.step())
        return Word("".join(out), line, column, known, quoted)

    def _until(self, close: str) -> str:
        out = []
        while self.at < len(self.text) and self.text[self.at] != close:
            out.append(self.step())
        if self.at < len(self.text):
            self.step()
        return "".join(out)

    def _double(self) -> tuple[str, bool]:
        out: list[str] = []
        clean = True
        while self.at < len(self.text) and self.text[self.at] != '"':
            sign = self.text[self.at]
            if sign == "\\" and self.at + 1 < len(self.text) and self.text[self.at + 1] in '"\\$`\n':
                self.step()
                escaped = self.step()
                out.append("" if escaped == "\n" else escaped)
            elif sign == "`" or (
                sign == "$" and self.at + 1 < len(self.text) and re.match(r"[A-Za-z_0-9{(@*#?!$-]", self.text[self.at + 1])
            ):
                out.append(self._expansion())
                clean = False
            else:
                out.append(self.step())
        if self.at < len(self.text):
            self.step()
        return "".join(out), clean

    def _expansion(self) -> str:
        start = self.at
        if self.text[self.at] == "`":
            self.step()
            self._until("`")
            return self.text[start : self.at]
        self.step()
        if self.at < len(self.text) and self.text[self.at] in "{(":
            depth = 0
            while self.at < len(self.text):
                sign = self.step()
                depth += sign in "{("
                depth -= sign in "})"
                if depth == 0:
                    break
        else:
            while self.at < len(self.text) and re.match(r"[A-Za-z0-9_@*#?]", self.text[self.at]):
                self.step()
        return self.text[start : self.at]


def commands(text: str) -> Iterator[list[Word]]:
    """Every simple command of a script as words, in file order."""
    return _Lexer(text).commands()


def split(text: str, line: int, column: int = 1) -> list[Word]:
    """The words of one command line that stands inside another format, all placed at its line."""
    return [Word(w.text, line, column, w.known, w.quoted) for command in commands(text.replace("\n", " ")) for w in command]
