"""Phone numbers of any usual spelling to E.164.

Numbers of the North American plan go a fast way: whether one is valid depends on its first six
digits alone (area code and exchange), so the library is asked once for each of these.
"""

from __future__ import annotations

import re
from typing import Final

import phonenumbers
from msgspec import Struct

UNKNOWN_RANGE: Final = "phone: in no known number range, kept as it is"

_LONGEST_TEXT: Final = 64
_CACHE_LIMIT: Final = 50_000
_SEPARATORS = re.compile(r"[\s().\-/]+")
_NANP_REGIONS: Final = frozenset(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[1])
_valid_exchange: dict[str, bool] = {}


class Phone(Struct, frozen=True, gc=False):
    """A usable phone: E.164, and whether its number range is known to be in use."""

    e164: str
    known: bool


def is_region(country: str) -> bool:
    """Whether ``country`` is a two-letter code that has a numbering plan."""
    return country in phonenumbers.SUPPORTED_REGIONS


def read_phone(text: str, region: str) -> Phone | None:
    """The phone in ``text``, dialled from ``region`` (ISO code); None where there is no usable one.

    A number of the right form in a range that the library does not know is usable (numbering plans
    grow faster than libraries) but marked as not ``known``.
    """
    if len(text) == 12 and text[:2] == "+1" and text.isascii() and text[2:].isdigit():
        return _nanp(text[2:])
    if len(text) > _LONGEST_TEXT:
        return None
    bare = _SEPARATORS.sub("", text)
    if bare.isascii():
        if bare[:2] == "+1" and len(bare) == 12 and bare[2:].isdigit():
            return _nanp(bare[2:])
        if region in _NANP_REGIONS and bare.isdigit():
            if len(bare) == 10:
                return _nanp(bare)
            if len(bare) == 11 and bare[0] == "1":
                return _nanp(bare[1:])
    return _any_plan(text, region)


def _nanp(digits: str) -> Phone | None:
    """Ten digits of the North American plan."""
    exchange = digits[:6]
    known = _valid_exchange.get(exchange)
    if known is None:
        known = _ask_library(digits)
        if len(_valid_exchange) >= _CACHE_LIMIT:
            _valid_exchange.clear()
        _valid_exchange[exchange] = known
    if not known and (digits[0] in "01" or digits == digits[0] * 10):
        return None
    return Phone("+1" + digits, known)


def _ask_library(digits: str) -> bool:
    number = phonenumbers.PhoneNumber(country_code=1, national_number=int(digits))
    return digits[0] != "0" and bool(phonenumbers.is_valid_number(number))


def _any_plan(text: str, region: str) -> Phone | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    e164 = str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    if phonenumbers.is_valid_number(number):
        return Phone(e164, True)
    possible = phonenumbers.is_possible_number_with_reason(number)
    if possible != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    national = str(number.national_number)
    if len(set(national)) == 1 or (number.country_code == 1 and national[0] in "01"):
        return None
    return Phone(e164, False)
