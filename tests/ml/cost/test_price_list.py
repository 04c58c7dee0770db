"""Price lists: the bundled data, a file of one's own, and what is refused."""

from pathlib import Path

import pytest

from spark_copilot.ml.cost.price_list import ByDcu, ByNodes, ByResources, ByUnits, bundled, find
from spark_copilot.rules_engine.errors import BadInput, UsageError


def test_every_bundled_list_names_its_currency_day_and_page() -> None:
    for name, prices in bundled().items():
        assert prices.currency == "USD", name
        assert len(prices.date) == 7, name
        assert prices.date[4] == "-", name
        assert prices.source.startswith("https://"), name


@pytest.mark.parametrize(
    ("name", "cores", "gib", "node", "expected"),
    [
        ("aws-emr-serverless", 4, 16, None, 4 * 0.052624 + 16 * 0.0057785),
        ("aws-glue", 4, 10, None, 0.44),  # one worker
        ("aws-glue", 8, 20, None, 0.88),  # two bundles of four vCPUs
        ("gcp-dataproc-serverless", 4, 16, None, 0.06 * (4 * 0.6 + 16 * 0.1)),  # Google's own example: 4 units
        ("gcp-dataproc-serverless", 4, 40, None, 0.06 * (4 * 0.6 + 32 * 0.1 + 8 * 0.2)),
        ("aws-emr", 4, 8, "m5.xlarge", 0.24),  # all its cores
        ("aws-emr", 1, 6, "m5.xlarge", 0.24 * 0.5),  # half of the memory it may use
        ("databricks-aws", 1, 1, "m5.xlarge", 0.192 + 0.69 * 0.15),  # an executor is a machine
        ("databricks-gcp", 1, 1, "n2-highmem-4", 0.262028 + 0.96 * 0.15),
        ("gcp-dataproc", 4, 4, "n2-standard-4", 0.194236 + 4 * 0.010),
        ("azure-synapse", 4, 28, None, 4 * 0.143),
    ],
)
def test_price_of_one_hour(name: str, cores: float, gib: float, node: str | None, expected: float) -> None:
    assert bundled()[name].hour(cores, gib, node) == pytest.approx(expected)


def test_the_kinds_are_told_apart() -> None:
    kinds = {type(prices) for prices in bundled().values()}
    assert kinds == {ByResources, ByUnits, ByDcu, ByNodes}


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("nowhere", "no price list 'nowhere'"),
        ("aws-emr:m99.huge", "has no machine 'm99.huge'"),
        ("aws-glue:m5.xlarge", "has no machine types"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(choice: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        find(choice)
    assert caught.value.hint


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "house.yaml"
    path.write_text(
        "kind: nodes\ntitle: our rack\ncurrency: EUR\nregion: cellar\ndate: 2026-01\nsource: the invoice\n"
        "nodes:\n  blade: {vcpus: 16, gib: 64, hour: 0.5}\n"
    )
    name, prices, node = find(f"{path}:blade")
    assert (name, prices.currency, node) == ("house.yaml", "EUR", "blade")
    assert prices.hour(8, 16, "blade") == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: nodes\n", "Field required"),
        ("kind: guess\n", "guess"),
        ("{", "neither YAML nor JSON"),
        ("kind: resources\ntitle: t\ncurrency: EUR\nregion: r\ndate: d\nsource: s\nvcpu_hour: -1\ngib_hour: 1\n", "vcpu_hour"),
    ],
)
def test_a_file_that_is_no_price_list_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(BadInput, match=said) as caught:
        find(str(path))
    assert "prices.yaml" in str(caught.value)
