"""The table is Markdown, and its columns line up."""

from tests.benchmarks.table import table


def test_columns_line_up_and_numbers_stand_right() -> None:
    """Each column is as wide as its widest cell."""
    assert table(["server", "per second"], [["ours", "4,000"], ["a peer", "950"]], to_the_right=["per second"]) == (
        "| server | per second |\n| ------ | ---------: |\n| ours   |      4,000 |\n| a peer |        950 |"
    )


def test_no_rows_no_table() -> None:
    """A section that found nothing shows nothing."""
    assert not table(["server"], [])
