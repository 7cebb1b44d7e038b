"""The list of claims: what is refused, what is filled in, and that the book's own list holds."""

import ast
import re
import sys
import types
from pathlib import Path

import pandas as pd
import pytest
import yaml

from neurogain.lab import results
from neurogain.thesis import claims

ROOT = Path(__file__).parents[2]
LIST = ROOT / "book" / "claims.yml"

ENTRY = {
    "id": "ch2-some-claim",
    "chapter": 2,
    "where": "section 4, Table 3",
    "claim": "Gains are enough.",
    "printed": [{"table": 3, "row": "NT_1", "column": "STL-10", "lr": 0.01}, "in words"],
    "measured": None,
    "tier": "not tested",
    "reason": "Its page is not written.",
    "page": "02-neuromodulatory-tuning",
}


@pytest.fixture
def listed(tmp_path):
    """Write entries, each given as its difference from a good one, and return the list's path."""

    def write(*changes):
        entries = [{k: v for k, v in {**ENTRY, **change}.items() if v != "absent"} for change in changes]
        path = tmp_path / "claims.yml"
        path.write_text(yaml.safe_dump(entries), encoding="utf-8")
        return path

    return write


@pytest.fixture
def result(tmp_path, monkeypatch):
    """A results file of the book, three seeds of two methods."""
    rows = [("nt", 1, 0.5), ("nt", 2, 0.6), ("nt", 3, 0.7), ("tft", 1, 0.9), ("tft", 2, 0.8), ("tft", 3, 0.7)]
    table = pd.DataFrame(rows, columns=["method", "seed", "accuracy"])
    kept = {"config": {}, "seeds": [1, 2, 3], "duration": 1.0, "device": "cpu", "out": tmp_path / "results"}
    results.save("ch2-table3", table, profile="book", **kept)
    monkeypatch.setattr(results, "book_path", lambda *parts: tmp_path.joinpath(*parts))


def test_a_printed_number_is_taken_from_the_tables(listed):
    (claim,) = claims.load(listed({}))
    assert claim.printed == ("Table 3, NT_1, STL-10 (lr=0.01): 0.8491", "in words")
    (claim,) = claims.load(
        listed({"printed": [{"chapter": 3, "table": 1, "row": "derived", "column": "MNIST"}]})
    )
    assert claim.printed == ("Table 1, derived, MNIST: 0.9762 ± 0.001",)


MEASURED = {"measured": {"result": "ch2-table3", "text": "yes"}, "tier": "reproduced", "reason": None}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tier": "certain"}, "unknown tier 'certain'"),
        ({"chapter": 6}, "chapter 6 is not"),
        ({"page": "13-more"}, "unknown page '13-more'"),
        ({"reason": None}, "needs a reason"),
        ({"reason": "absent"}, "needs a reason"),
        ({"tier": "needs data", "reason": ""}, "needs a reason"),
        ({"tier": "exact", "reason": None}, "needs 'measured'"),
        ({"measured": {"computed_by": "tests/a.py::test_b", "text": "yes"}}, "give it the tier"),
        ({"tier": "not reproduced", "measured": MEASURED["measured"], "reason": None}, "needs a reason"),
        ({"printed": [{"table": 3, "row": "NT_9", "column": "STL-10"}]}, "no cell NT_9 / STL-10"),
        ({"printed": [{"table": 3, "row": "NT_1", "column": "STL-10"}]}, "5 cells"),
        ({"printed": [{"table": 3, "row": "NT_1"}]}, "lacks 'column'"),
        ({"claim": "absent"}, r"missing keys \['claim'\]"),
        ({"colour": "red"}, r"unknown keys \['colour'\]"),
        ({**MEASURED, "measured": {"result": "ch2-table9", "text": "yes"}}, "ch2-table9"),
        ({**MEASURED, "measured": {"result": "ch2-table3", "profile": "full", "text": "yes"}}, "full"),
        ({**MEASURED, "measured": {"text": "yes"}}, "either 'result' or 'computed_by'"),
        ({**MEASURED, "measured": {"result": "ch2-table3", "by": "me"}}, r"unknown keys \['by'\]"),
        ({**MEASURED, "measured": {"result": "ch2-table3", "text": "{nt.mean}"}}, "nt"),
        ({**MEASURED, "measured": {"computed_by": "neurogain.thesis.nothing.at_all"}}, "nothing"),
    ],
)
def test_a_bad_entry_is_refused_by_name(listed, result, change, message):
    with pytest.raises(ValueError, match="claim ch2-some-claim: .*" + message):
        claims.load(listed({"id": "ch2-fine"}, change))


def test_an_id_may_be_used_once(listed):
    with pytest.raises(ValueError, match="claim ch2-some-claim: the id is already taken"):
        claims.load(listed({}, {"id": "ch2-other"}, {}))


def test_an_entry_without_a_name_is_found_by_its_place(listed):
    with pytest.raises(ValueError, match=r"claim number 2: .*missing keys"):
        claims.load(listed({}, {"id": "absent"}))


def test_a_measured_number_is_read_from_its_results_file(listed, result):
    values = {
        "nt": {"where": {"method": "nt"}, "column": "accuracy"},
        "tft": {"where": {"method": "tft", "seed": 1}, "column": "accuracy"},
    }
    text = "{nt.mean:.2f} ({nt.n} seeds, {nt.min:.1f} to {nt.max:.1f}) against {tft.mean:.1f}"
    measured = {"result": "ch2-table3", "values": values, "text": text}
    (claim,) = claims.load(listed({**MEASURED, "measured": measured}))
    assert claim.found == "0.60 (3 seeds, 0.5 to 0.7) against 0.9"
    assert claim.settled_by == "results `ch2-table3.book`"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"where": {"method": "lora"}, "column": "accuracy"}, "hold no 'accuracy' where .*lora"),
        ({"where": {"method": "nt"}, "column": "loss"}, "hold no 'loss'"),
        ({"where": {"model": "nt"}, "column": "accuracy"}, "no column 'model'"),
    ],
)
def test_rows_that_the_results_lack_are_refused(listed, result, wanted, message):
    measured = {"result": "ch2-table3", "values": {"nt": wanted}, "text": "{nt.mean:.2f}"}
    with pytest.raises(ValueError, match="claim ch2-some-claim: .*" + message):
        claims.load(listed({**MEASURED, "measured": measured}))


def test_a_measured_number_may_be_computed(listed, monkeypatch):
    module = types.ModuleType("counted")
    module.parameters = lambda: {"tuned": 18202}
    monkeypatch.setitem(sys.modules, "counted", module)
    measured = {"computed_by": "counted.parameters", "text": "{tuned:,} parameters"}
    (claim,) = claims.load(listed({**MEASURED, "measured": measured}))
    assert (claim.found, claim.settled_by) == ("18,202 parameters", "`counted.parameters`")


def test_markdown_counts_by_tier_and_keeps_its_columns(listed):
    change = {"id": "ch2-piped", "claim": "A | B", "tier": "needs data", "reason": "Not\nhere."}
    text = claims.markdown(path=listed({}, change, {"id": "ch3-other", "chapter": 3, "printed": None}))
    count = dict(re.findall(r"^\| ([^|]+) \|[^|]*\| (\d+) \|$", text, flags=re.MULTILINE))
    assert (count["needs data"], count["not tested"], count["exact"], count["**all**"]) == (
        "1",
        "2",
        "0",
        "3",
    )
    assert r"A \| B" in text and "Not here." in text
    assert (
        text.index("Chapter 2") < text.index("ch2-piped") < text.index("Chapter 3") < text.index("ch3-other")
    )
    table = text[text.index("| Claim, ") :]
    for line in table.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 4


def test_markdown_of_one_chapter(listed):
    path = listed({}, {"id": "ch3-other", "chapter": 3, "printed": None})
    text = claims.markdown(3, path)
    assert "ch3-other" in text and "ch2-some-claim" not in text and "| **all** | | 1 |" in text
    with pytest.raises(ValueError, match="no chapter 7"):
        claims.markdown(7, path)


# ---- The book's own list


def test_the_books_list_holds():
    """Every cell, results file, tier and page of it exists: `load` refuses it otherwise."""
    loaded = claims.load()
    assert {claim.chapter for claim in loaded} == {1, 2, 3, 4, 5}
    for claim in loaded:
        assert claim.id.startswith(f"ch{claim.chapter}-")
        assert claim.claim.endswith(".") and "\n" not in claim.claim
    text = claims.markdown()
    for claim in loaded:
        assert text.count(f"`{claim.id}`") == 1


def test_every_test_that_settles_a_claim_exists():
    for entry in yaml.safe_load(LIST.read_text(encoding="utf-8")):
        source = (entry.get("measured") or {}).get("computed_by", "")
        if "::" in source:
            path, name = source.split("::")
            tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
            assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, source


def test_no_measured_number_is_typed_in():
    for entry in yaml.safe_load(LIST.read_text(encoding="utf-8")):
        text = (entry.get("measured") or {}).get("text", "")
        assert not re.search(r"\d\.\d|\d ?%", re.sub(r"\{[^}]*\}", "", text)), entry["id"]


def test_a_claim_that_cites_another_cites_one_that_exists():
    loaded = claims.load()
    ids = {claim.id for claim in loaded}
    for claim in loaded:
        for cited in re.findall(r"\bch[1-5]-[a-z0-9-]+", claim.reason + claim.found):
            assert cited in ids or any(other.startswith(cited + "-") for other in ids), (claim.id, cited)


def test_what_page_one_settles():
    exact = {claim.id: claim for claim in claims.load() if claim.tier == "exact"}
    for name in ("ch2-threshold-not-potential", "ch4-reset-subtracts"):
        assert exact[name].page == "01-from-neurons-to-networks"
        assert exact[name].settled_by.startswith("`tests/test_lif.py::")


def test_every_table_of_the_thesis_is_spoken_of():
    cited = set()
    for entry in yaml.safe_load(LIST.read_text(encoding="utf-8")):
        for item in entry.get("printed") or ():
            if isinstance(item, dict):
                cited.add((item.get("chapter", entry["chapter"]), item["table"]))
    from neurogain.thesis import tables

    assert cited == set(tables.captions)
