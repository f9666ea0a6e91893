"""The findings in colours and columns, by rich."""

from itertools import groupby

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from jaxlab.doctor.finding import BAD, NOTE, OK, Finding, works
from jaxlab.doctor.show import HEADINGS, MARKS, conclusion, to_do

COLOURS = {OK: "green", NOTE: "yellow", BAD: "bold red"}


def write(findings: list[Finding]) -> None:
    """To the terminal. What is to be copied is not broken into lines."""
    console, shown = Console(highlight=False), []
    for part, group in groupby(findings, lambda finding: finding.part):
        table = Table.grid(padding=(0, 1), pad_edge=True)
        table.add_column(min_width=2, no_wrap=True)
        table.add_column(min_width=12, no_wrap=True)
        table.add_column(overflow="fold")
        for finding in group:
            table.add_row(Text(MARKS[finding.state], COLOURS[finding.state]), Text(finding.name), Text(finding.text))
        shown += [Text(HEADINGS[part], "bold"), table, Text()]
    console.print(Group(*shown))  # in one piece, of which a notebook makes one block
    answer = Text(conclusion(findings), COLOURS[OK if works(findings) else BAD])
    console.print(Text("\n").join([*map(Text, to_do(findings)), answer]), soft_wrap=True)
