"""Dates as people write them in English, in words or figures, in lower case without commas."""

from __future__ import annotations

import datetime

from tinygrad_gm import Generator

FIRST, LAST = 1700, 2199  # the years
HELD_OUT = 50  # number of years of the validation, and of the test

ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = [
    "zero",
    "ten",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
]
ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
]
MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
WEEKDAYS = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
]

FORMATS = (
    "the {ordinal} of {month} {year}",
    "{month} the {ordinal} {year}",
    "{month} {day} {year}",
    "{day} {month} {year}",
    "the {nth} of {month} {year}",
    "{mon} {nth} {year}",
    "{day} {mon} {year}",
)
LONGEST = len("wednesday the twenty-seventh of september seventeen seventy-seven")


def years() -> dict[str, list[int]]:
    """The years of each split, shuffled once and for all: 400 to train, 50 and 50 held out.

    >>> {split: sorted(held)[:3] for split, held in years().items() if split != "train"}
    {'validation': [1702, 1705, 1715], 'test': [1718, 1719, 1727]}
    """
    shuffled = [FIRST + i for i in Generator(0).permutation(LAST + 1 - FIRST).tolist()]
    return {
        "train": shuffled[2 * HELD_OUT :],
        "validation": shuffled[:HELD_OUT],
        "test": shuffled[HELD_OUT : 2 * HELD_OUT],
    }


def written(date: datetime.date, form: int, words: bool = False, weekday: bool = False) -> str:
    """A date in one of the `FORMATS`, the year in words or figures, perhaps with its weekday.

    >>> date = datetime.date(1987, 3, 3)
    >>> written(date, 0), written(date, 1, words=True), written(date, 6, weekday=True)
    ('the third of march 1987', 'march the third nineteen eighty-seven', 'tuesday 3 mar 1987')
    """
    text = FORMATS[form].format(
        day=date.day,
        ordinal=ordinal(date.day),
        nth=f"{date.day}{_ending(date.day)}",
        month=MONTHS[date.month - 1],
        mon=MONTHS[date.month - 1][:3],
        year=year_in_words(date.year) if words else date.year,
    )
    return f"{WEEKDAYS[date.weekday()]} {text}" if weekday else text


def ordinal(day: int) -> str:
    """The ordinal number of a day in words.

    >>> ordinal(3), ordinal(20), ordinal(31)
    ('third', 'twentieth', 'thirty-first')
    """
    if day <= 20:
        return ORDINALS[day - 1]
    return "thirtieth" if day == 30 else f"{TENS[day // 10]}-{ORDINALS[day % 10 - 1]}"


def year_in_words(year: int) -> str:
    """A year of four figures as it is read.

    >>> [year_in_words(year) for year in (1987, 1905, 1900, 2000, 2005, 2014)]
    ... # doctest: +NORMALIZE_WHITESPACE
    ['nineteen eighty-seven', 'nineteen oh five', 'nineteen hundred', 'two thousand',
     'two thousand and five', 'twenty fourteen']
    """
    century, rest = divmod(year, 100)
    if century % 10 == 0 and rest < 10:
        thousands = f"{ONES[century // 10]} thousand"
        return f"{thousands} and {ONES[rest]}" if rest else thousands
    if rest < 10:
        return f"{_below_hundred(century)} {f'oh {ONES[rest]}' if rest else 'hundred'}"
    return f"{_below_hundred(century)} {_below_hundred(rest)}"


def _below_hundred(number: int) -> str:
    if number < 20:
        return ONES[number]
    tens, ones = divmod(number, 10)
    return f"{TENS[tens]}-{ONES[ones]}" if ones else TENS[tens]


def _ending(day: int) -> str:
    """The ending of an ordinal number in figures."""
    return "th" if 10 < day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
