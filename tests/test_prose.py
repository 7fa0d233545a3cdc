"""The prose of docstrings and comments: plain engineering English, counted per 1,000 words."""

import ast
import io
import re
import tokenize
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("bot", "workers", "locust", "tests", "benchmarks")
FILES = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
CLAUSE = "(What|Whether|Who|Whoever|Whose|Where|That|Which|How|Why)"
LIMITS = {  # marker → (pattern, the most for 1,000 words)
    "a sentence that begins with a bare clause": (rf"(?:^|[.:!?] +|\n\n *){CLAUSE} ", 1.0),
    "where for if": (r"\bwhere\b", 1.0),
    "none, nothing, nobody, somebody": (r"\b(none|nothing|nobody|somebody)\b", 1.5),
    "tell, told": (r"\b(tell|tells|told|telling)\b", 0.5),
    "whose, whoever, whatever": (r"\b(whose|whoever|whatever|whichever)\b", 0.5),
    "is to do": (r"\b(is|are|was|were) to [a-z]+", 0.3),
}


@cache
def prose() -> tuple[str, ...]:
    """Return all docstrings, descriptions of constants and comments, without code in backticks."""
    texts = []
    for source in (path.read_text(encoding="utf-8") for path in FILES):
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.Expr(value=ast.Constant(value=str() as text)):
                    texts.append(text)
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        texts.append("\n".join(token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT))
    return tuple(re.sub(r"`[^`]*`|noqa\S*|type: ignore\S*", "x", text) for text in texts)


@pytest.mark.parametrize("marker", LIMITS)
def test_prose_is_plain(marker: str) -> None:
    pattern, limit = LIMITS[marker]
    found = [match for text in prose() for match in re.finditer(pattern, text)]
    words = sum(len(text.split()) for text in prose())
    places = [match.string[max(match.start() - 30, 0) : match.end() + 40] for match in found[:20]]
    assert 1000 * len(found) / words <= limit, places


def test_no_module_docstring_begins_with_a_clause() -> None:
    docstrings = {path: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" for path in FILES}
    assert [str(path) for path, text in docstrings.items() if re.match(rf"{CLAUSE}\b", text)] == []
