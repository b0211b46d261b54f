"""Amounts in Chinese capitals (大写), as invoices, letters and cheques want them (支付结算办法 附一: 正确填写票据和结算凭证的基本规定)."""

from __future__ import annotations

_DIGITS = "零壹贰叁肆伍陆柒捌玖"
_PLACES = ("", "拾", "佰", "仟")


def capitals(minor: int, digits: int = 2) -> str:
    """Minor units in capitals: 1640902 -> 壹万陆仟肆佰零玖元零贰分. Raises ValueError unless `digits` is 0 or 2."""
    if digits not in (0, 2):
        raise ValueError("capitals are written for currencies with 0 or 2 digits")
    yuan, rest = divmod(abs(minor), 10**digits)
    jiao, fen = divmod(rest, 10)  # of no more than two digits
    sign = "负" if minor < 0 else ""
    if yuan == 0 and rest == 0:
        return "零元整"
    return sign + (_whole(yuan) + "元" if yuan else "") + _tail(yuan, jiao, fen)


def _tail(yuan: int, jiao: int, fen: int) -> str:
    if not jiao and not fen:
        return "整"
    zero = "零" if yuan and (not jiao or yuan % 10 == 0) else ""
    if not jiao:
        return f"{zero}{_DIGITS[fen]}分"
    return f"{zero}{_DIGITS[jiao]}角" + (f"{_DIGITS[fen]}分" if fen else "整")


def _whole(number: int) -> str:
    if number < 10_000:
        return _group(number)
    unit, name = (10**8, "亿") if number >= 10**8 else (10**4, "万")
    high, low = divmod(number, unit)
    zero = "零" if low and low < unit // 10 else ""
    return _whole(high) + name + zero + (_whole(low) if low else "")


def _group(group: int) -> str:
    text, gap = "", False
    for place in range(3, -1, -1):
        digit = group // 10**place % 10
        if digit == 0:
            gap = bool(text)
            continue
        text += ("零" if gap else "") + _DIGITS[digit] + _PLACES[place]
        gap = False
    return text
