"""Checks the spelling and some grammar of everything that users read: pages, docstrings, and texts of the program.

Usage: prose.py ROOT. It prints a line for each mistake, "FILE:LINE: TEXT", and ends with 1 if there is one. hunspell knows
American English. Known are also words with a capital letter within, which are names and abbreviations, words that pages and
programs have in code, and those in scripts/words.txt, each of which must be in use.
"""

import ast
import os
import pathlib
import re
import subprocess
import sys

# Words that a native engineer would not write here, with what to write.
REFUSED = {
    "anew": "again", "besides": "also", "for ever": "indefinitely", "hence": "so", "likewise": "the same", "nobody": "no user",
    "somebody": "a user", "whoever": "a user who", "in flight": "active", "shall": "must",
}
DOUBLED = re.compile(r"(?<![-\w])([a-z]{2,}) \1\b")
ARTICLE = re.compile(r"\ba\s+(?!u[nrst]|eu|one\b|once\b)[aeiou]\w+", re.IGNORECASE)
CODE = re.compile(r"``?[^`]*``?")
WORD = re.compile(r"[a-z]+")
FENCE = re.compile(r"^ *```")
TESTS = re.compile(r"(test|tests|testdata|acceptance)/")
GO_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|`[^`]*`|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
NO_WORD = re.compile(r"[\d_/=<>{}\[\]()@#$%&*+\\|~^]|\w[.:]\w|^-")


def of_page(text, generated, code):
    """Yields the lines of a page without its blocks of code, inline code and targets of links, and adds the words of code to that set.
    A generated page has docstrings."""
    within = False
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            within = not within
        elif generated or not within:
            code.update(word for found in CODE.findall(line) for word in WORD.findall(found.lower()))
            line = re.sub(r"\]\([^)]*\)", "]", CODE.sub("`", line))
            yield number, "" if generated and line.startswith("#") else line
        else:
            code.update(WORD.findall(line.lower()))


def of_go(text, code):
    """Yields the string literals of a Go file that are sentences: at least three words. The words of those without a space are code."""
    for found in GO_TOKEN.finditer(text):
        literal = found[0]
        if literal[0] in "\"`" and " " not in literal:
            code.update(WORD.findall(literal.lower()))
        if literal[0] not in "\"`" or literal.count(" ") < 2 or literal.lstrip('"`').startswith((".TH", "# bash", ":root", "<", "(()=>", ".PP\n.B")):
            continue
        if literal[0] == '"':
            literal = re.sub(r"\\.", " ", literal)
        number = text.count("\n", 0, found.start()) + 1
        for offset, line in enumerate(literal.strip('"`').splitlines()):
            yield number + offset, re.sub(r"%[-+ #0-9.\[\]]*[a-zA-Z]", "%", line)


def of_python(text):
    """Yields the lines of the docstrings of a Python file."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node):
            at = node.body[0].lineno
            for offset, line in enumerate(node.body[0].value.value.splitlines()):
                yield at + offset, CODE.sub("`", line)


def files(root):
    """Returns the files of the project, without what a build makes, in which whole systems may come and go."""
    found = []
    for folder, folders, names in os.walk(root):
        if folder == root:
            folders[:] = [name for name in folders if name not in ("build", ".git")]
        found += [pathlib.Path(folder, name) for name in names]
    return sorted(found)


def prose(root, code):
    """Yields (file, line number, line) of all prose, and adds the words of code to that set."""
    for path in files(root):
        name = path.relative_to(root).as_posix()
        if name.endswith("_test.go") or TESTS.search(name):
            continue
        if name.endswith(".md") and not name.startswith("bench/results"):
            lines = of_page(path.read_text(), name == "docs/python-api.md", code)
        elif name.endswith(".go") and name.startswith(("cmd/", "runtime/", "pybridge/")):
            lines = of_go(path.read_text(), code)
        elif name.endswith(".py") and name.startswith(("contrib/fapws/", "samples/")):
            lines = of_python(path.read_text())
        else:
            continue
        for number, line in lines:
            yield name, number, line


def words(line):
    """Yields the words of a line, without those that are code."""
    for token in line.replace("—", " ").replace("…", " ").replace("`", " ` ").split():
        token = token.strip("\"'“”(){}[]<>.,;:!?*|")
        if token and not NO_WORD.search(token):
            for word in token.split("-"):
                word = re.sub(r"['’]s?$", "", word.strip("'"))
                if len(word) > 1 and word.isascii() and word.isalpha() and word[1:].islower():
                    yield word


def main(root):
    mistakes, places, code = [], {}, set()
    for name, number, line in prose(root, code):
        at = f"{name}:{number}"
        plain = re.sub(r"[\"*|]", " ", line)
        mistakes += [f"{at}: {found[0]}" for found in DOUBLED.finditer(line)]
        mistakes += [f"{at}: {found[0]}: an" for found in ARTICLE.finditer(plain)]
        mistakes += [f"{at}: {text}: write {instead}" for text, instead in REFUSED.items() if re.search(rf"\b{text}\b", plain, re.IGNORECASE)]
        for word in words(line):
            places.setdefault(word, at)
    unknown = set(subprocess.run(
        ["hunspell", "-d", "en_US", "-i", "UTF-8", "-l"], input="\n".join(places), capture_output=True, text=True, check=True).stdout.split())
    unknown = {word for word in unknown if word.lower() not in code}
    known = pathlib.Path(root, "scripts", "words.txt").read_text().split()
    mistakes += [f"{places[word]}: {word}" for word in sorted(unknown - set(known))]
    mistakes += [f"scripts/words.txt: {word} is not in use" for word in known if word not in places]
    print("\n".join(mistakes), end="\n" if mistakes else "")
    return 1 if mistakes else 0


sys.exit(main(sys.argv[1]))
