"""The picture is well-formed and its bars are to scale."""

from xml.etree import ElementTree as ET

from tests.benchmarks.figures import Figure
from tests.benchmarks.picture import as_svg

SVG = "{http://www.w3.org/2000/svg}"


def figure(section: str, name: str, rate: float) -> Figure:
    """Return a figure that has a rate and nothing else."""
    return Figure(
        section=section,
        name=name,
        requests_per_second=rate,
        p50_ms=0,
        p99_ms=0,
        cpu_us=0,
        user_us=0,
        failures=0,
        samples=(),
    )


def test_bars_are_to_scale() -> None:
    """Half the rate is half the length, within its section; ours are marked; names are text and nothing else."""
    picture = as_svg(
        [
            figure("tokens", "authserver", 2_000),
            figure("tokens", "a <peer> & another", 1_000),
            figure("introspection", "authserver, one JWT", 500),
            figure("start", "not a rate to compare", 9_999),
        ]
    )
    root = ET.fromstring(picture)  # noqa: S314 - made here
    bars = root.findall(f"{SVG}rect")
    longest = int(bars[0].attrib["width"])
    assert [int(bar.attrib["width"]) for bar in bars] == [longest, longest // 2, longest]
    assert [bar.attrib["class"] for bar in bars] == ["ours", "peer", "ours"]
    texts = [text.text for text in root.findall(f"{SVG}text")]
    assert "a <peer> & another" in texts
    assert "2,000" in texts
    assert "not a rate to compare" not in texts
