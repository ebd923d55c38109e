"""How numbers are written: decimal comma, thousands, per cent, currencies and units."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

MONEY = r"(?:US\$|R\$|A\$|C\$|[$€£¥₹₽₩₺]|USD|EUR|GBP|CHF|JPY|INR|Rs\.?|kr\.?|zł)"
SPACES = " \u00a0\u202f\u2009"  # between groups of digits
QUOTE = "\u2019"  # typeset: 1'000 as the Swiss write it
LEAVE = "data.decimal=null"
LONG = "\u2212\u2013"  # typeset minus signs
_SHORT = str.maketrans(dict.fromkeys(LONG, "-"))
# A sign, a currency, a body of digits with separators, an exponent, a unit
_NUMBER = re.compile(
    rf"(?P<open>\()?(?P<sign>[-+{LONG}]?)\s*(?P<before>{MONEY}(?![A-Za-z]))?\s*(?P<inner>[-+{LONG}]?)"
    rf"(?P<body>\d(?:[\d.,'{QUOTE}{SPACES}]*\d)?[.,]?|[.,]\d+)(?P<power>[eE][-+{LONG}]?\d+)?"
    rf"\s*(?P<after>%|‰|°[CF]?|{MONEY}|[^\W\d_]{{1,10}}\.?[23²³]?(?:/[^\W\d_]{{1,4}})?)?(?P<shut>\))?"
)
INFINITE = re.compile(rf"[-+{LONG}]?\s*(inf|infinity|∞|1\.#inf)", re.IGNORECASE)


class Written(NamedTuple):
    """A number taken apart.

    Args:
        sign: '-' or ''.
        body: digits with their separators.
        power: of ten, as in e-3, or ''.
        unit: what stands before or behind it: $, %, kg; '' for a bare one.
    """

    sign: str
    body: str
    power: str
    unit: str


class Notation(NamedTuple):
    """How the numbers of a column are written.

    Args:
        decimal: a point or a comma.
        thousands: the sign between groups of three digits; '' is none.
        unit: that each of them bears; '' is none.
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""

    def plain(self, text: str) -> str:
        """Write a number of this notation as a computer does."""
        number = taken_apart(text)
        if number is None:
            raise ValueError(f"{text!r} must be a number")
        body = _even(number.body)
        body = body.replace(self.thousands, "") if self.thousands else body
        power = _even(number.power).translate(_SHORT)
        return number.sign + body.replace(self.decimal, ".") + power

    def __str__(self) -> str:
        told = ["decimal comma"] if self.decimal == "," else []
        told += [f"thousands {self.thousands!r}"] if self.thousands else []
        told += [f"unit {self.unit!r}"] if self.unit else []
        return ", ".join(told)


class Unclear(ValueError):
    """The numbers of a column are written in more than one way, or in one that has two meanings.

    Args:
        says: what is unclear, in words.
        texts: the numbers that show it, the first of each kind.
        ways: the knobs that decide it.
    """

    def __init__(self, says: str, texts: Sequence[str], ways: Sequence[str] = ()) -> None:
        super().__init__(says)
        self.says, self.texts, self.ways = says, list(texts), list(ways)


def taken_apart(text: str) -> Written | None:
    """Take a number apart, whatever its notation; None for what is no number."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None or bool(match["open"]) != bool(match["shut"]):
        return None
    if (match["sign"] and match["inner"]) or (match["before"] and match["after"]):
        return None
    if match["after"] and match["after"][0].isnumeric():
        return None  # no unit, but part of the number: 10², 1½
    signs = (match["sign"] or match["inner"] or "") + ("-" if match["open"] else "")
    if len(signs) > 1 or not _is_body(_even(match["body"])):
        return None
    sign = "-" if signs and signs in f"-{LONG}" else ""
    return Written(
        sign, match["body"], match["power"] or "", match["before"] or match["after"] or ""
    )


def notation(
    texts: Iterable[str], decimal: str | None, thousands: str | None, usual: str | None
) -> Notation:
    """Find the one notation in which all of a column's distinct numbers are written.

    Args:
        texts: of which each is a number.
        decimal: as the user says; None is unknown.
        thousands: as the user says; '' is none; None is unknown.
        usual: the decimal sign of the file's other columns, where they have one.

    Raises:
        Unclear: there is none, or more than one.
    """
    firsts: dict[tuple[str, str], str] = {}  # what a separator must be: the first that shows it
    units: dict[str, str] = {}
    for text in texts:
        number = taken_apart(text)
        if number is None:
            raise ValueError(f"{text!r} must be a number")
        if number.unit or number.body.strip("0.,"):  # a bare zero goes with any unit
            units.setdefault(number.unit, text)
        for role in roles(number.body):
            firsts.setdefault(role, text)
    if len(units) > 1:
        raise Unclear(f"units differ ({_named(units)})", list(units.values()))
    unit = next(iter(units), "")
    return _decided(firsts, decimal, thousands, usual, unit)


def _decided(
    firsts: dict[tuple[str, str], str],
    decimal: str | None,
    thousands: str | None,
    usual: str | None,
    unit: str,
) -> Notation:
    """Give each separator one role; see `notation`."""
    points = {sign: text for (role, sign), text in firsts.items() if role == "decimal"}
    groups = {sign: text for (role, sign), text in firsts.items() if role == "thousands"}
    either = {sign: text for (role, sign), text in firsts.items() if role == "either"}
    if decimal is not None:
        points.setdefault(decimal, "")
    if thousands:
        groups.setdefault(thousands, "")
    known = {*points, *groups}
    if len(either.keys() - known) > 1:
        raise Unclear("numbers are written in two ways", list(either.values()))
    for sign, text in either.items():
        if sign in known:
            continue
        if thousands == "" or (groups and not points):
            points[sign] = text
        elif points or usual not in (None, sign):
            groups[sign] = text
        elif sign in (".", usual):
            points[sign] = text
        elif re.fullmatch(MONEY, unit) or _is_grouped(firsts):
            groups[sign] = text
        else:
            raise Unclear(
                f"{text!r} may be {text.replace(sign, '')} or {text.replace(sign, '.')}",
                [text],
                ["data.thousands=comma", "data.decimal=comma"],
            )
    if decimal is not None and len(points) > 1:
        strange = [text for sign, text in points.items() if sign != decimal]
        raise Unclear(f"numbers must have the decimal sign {decimal!r}", strange, [LEAVE])
    shown = [text for text in (*points.values(), *groups.values()) if text]
    if len(points) > 1 or len(groups) > 1 or points.keys() & groups.keys():
        raise Unclear("numbers are written in two ways", shown)
    return Notation(next(iter(points), "."), next(iter(groups), ""), unit)


def _is_grouped(firsts: dict[tuple[str, str], str]) -> bool:
    """Whether numbers below 1,000 bear no separator, and all above do: 950 beside 1,234."""
    return ("whole", "short") in firsts and ("whole", "long") not in firsts


def roles(body: str) -> list[tuple[str, str]]:
    """Say what each separator of a number must be: decimal, thousands, or either."""
    body = _even(body)
    signs = [letter for letter in body if not letter.isdecimal()]
    if not signs:
        return [("whole", "short" if len(body) <= 3 else "long")] if body != "0" else []
    if len(set(signs)) == 2:
        return [("thousands", signs[0]), ("decimal", signs[-1])]
    if len(signs) > 1 or signs[0] in " '":
        return [("thousands", signs[0])]
    left, _, right = body.partition(signs[0])
    whole = len(right) == 3 and 0 < len(left) <= 3 and not left.startswith("0")
    return [("either" if whole else "decimal", signs[0])]


def _is_body(body: str) -> bool:
    """Whether digits and separators are one number: groups of three, then at most one decimal."""
    signs = [letter for letter in body if not letter.isdecimal()]
    if len(set(signs)) > 2 or (len(set(signs)) == 2 and signs.count(signs[-1]) > 1):
        return False
    if len(set(signs)) == 2 and (signs[-1] not in ".," or len(set(signs[:-1])) > 1):
        return False
    if len(signs) == 1 and signs[0] in ".,":
        return True
    whole = body.rpartition(signs[-1])[0] if len(set(signs)) == 2 else body
    groups = re.split(r"[^\d]", whole)
    grouped = 0 < len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])
    return len(groups) == 1 or grouped


def _even(body: str) -> str:
    """Write all spaces as one kind, all apostrophes, and the digits of all scripts."""
    if body.isascii():
        return body
    even = (" " if c in SPACES else "'" if c == QUOTE else c for c in body)
    return "".join(str(unicodedata.decimal(c, c)) for c in even)


def _named(units: Iterable[str]) -> str:
    return ", ".join(repr(unit) if unit else "none" for unit in units)
