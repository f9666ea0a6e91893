"""Numbers and quantities as one writes them down."""

import math

_PREFIXES = {-3: "n", -2: "\N{MICRO SIGN}", -1: "m", 0: "", 1: "k", 2: "M", 3: "G", 4: "T", 5: "P", 6: "E"}


def short(value: float) -> str:
    """A number as one writes it on a napkin.

    >>> short(0.0012345), short(0.00001), short(3.0), short(15000.0), short(2.5e6)
    ('0.00123', '1e-5', '3', '15000', '2.5e6')
    """
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e")


def quantity(value: float, unit: str) -> str:
    """A quantity with three significant digits and the prefix that keeps it between 1 and 1,000.

    >>> quantity(1.234e6, "FLOP"), quantity(340_000, "B"), quantity(0.00456, "s"), quantity(84, "B"), quantity(0, "B")
    ('1.23 MFLOP', '340 kB', '4.56 ms', '84 B', '0 B')
    """
    if value == 0.0:
        return f"0 {unit}"
    # Rounded first: 999.9 with three digits is 1,000, which is 1 of the next prefix.
    rounded = float(f"{value:.2e}")
    power = math.floor(math.log10(abs(rounded)) / 3.0)
    power = min(max(power, min(_PREFIXES)), max(_PREFIXES))
    return f"{rounded / 1000.0**power:.3g} {_PREFIXES[power]}{unit}"


def percent(share: float) -> str:
    """A share in whole percent; where that would say none or all, with a digit more.

    >>> percent(0.8), percent(0.0), percent(1.0), percent(0.004), percent(0.997)
    ('80%', '0%', '100%', '0.4%', '99.7%')
    """
    whole = f"{share:.0%}"
    return f"{share:.1%}" if whole in ("0%", "100%") and share not in (0.0, 1.0) else whole
