"""The generated corpus, the publishers' layouts as small files, and the subword vocabulary."""

import gzip
import json

import pytest

from neurogain.data import catalog, images, text
from neurogain.data.subwords import Vocabulary

# ---- generated ---------------------------------------------------------------------------------------------


def test_generated_splits_are_disjoint_and_repeatable():
    a, b = text.generated(300, 40, 50, seed=3), text.generated(300, 40, 50, seed=3)
    assert a == b and a != text.generated(300, 40, 50, seed=4)
    assert [len(a[split]) for split in ("train", "validation", "test")] == [300, 40, 50]
    everything = sum((part.source for part in a.values()), ())
    assert len(set(everything)) == 390


def test_german_declines_and_english_follows():
    corpus = text.generated(3000, 10, 10)["train"]
    for german, english in zip(corpus.source, corpus.target, strict=True):
        words = german.split()
        for wrong in (
            "die Hund",
            "der Katze",
            "den Frau",
            "eine Kind",
            "ein alter Katze",
            "einen Kind",
            "a old",
            "an red",
        ):
            assert f" {wrong} " not in f" {german} " and f" {wrong} " not in f" {english} "
        assert words[-2] in dict(map(reversed, text._VERBS)) and words.count("hat") in (1, 2)
        assert english.split()[0] in ("yesterday", "today", "often", "again")


def test_only_the_place_tells_a_bank_from_a_bench():
    corpus = text.generated(2000, 10, 10)["train"]
    pairs = [(g, e) for g, e in zip(corpus.source, corpus.target, strict=True) if "die Bank" in g]
    assert len(pairs) > 100
    for german, english in pairs:
        assert ("the bank" in english) == ("Stadt" in german or "Bahnhof" in german)


# ---- publishers' layouts -----------------------------------------------------------------------------------

GERMAN, ENGLISH = ["Ein Hund läuft.", "Zwei Männer & eine Frau."], ["A dog runs.", "Two men & a woman."]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROGAIN_DATA", str(tmp_path))
    return tmp_path


def multi30k(home, german=GERMAN, english=ENGLISH):
    folder = home / "multi30k"
    folder.mkdir()
    for stem in ("train", "val", "test_2016_flickr"):
        (folder / f"{stem}.de.gz").write_bytes(gzip.compress("".join(s + "\n" for s in german).encode()))
        (folder / f"{stem}.en").write_text("\n".join(english), encoding="utf-8")
    return folder


def iwslt17(home):
    folder = home / "iwslt17"
    folder.mkdir()
    for language, lines in (("de", GERMAN), ("en", ENGLISH)):
        head = "<url>http://www.ted.com/talks/1</url>\n<keywords>talks</keywords>\n"
        (folder / f"train.tags.de-en.{language}").write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
        segments = "".join(
            f'<seg id="{n}"> {s.replace("&", "&amp;")} </seg>\n' for n, s in enumerate(lines, 1)
        )
        xml = f'<mteval><refset setid="x"><doc docid="1">\n{segments}</doc></refset></mteval>'
        for name in ("dev2010", *(f"tst{year}" for year in range(2010, 2016))):
            (folder / f"IWSLT17.TED.{name}.de-en.{language}.xml").write_text(xml, encoding="utf-8")
    return folder


def test_multi30k_gzipped_or_not(home):
    multi30k(home)
    for split in text.SPLITS:
        read = text.load("multi30k", split)
        assert (list(read.source), list(read.target)) == (GERMAN, ENGLISH)
    assert "2 train pairs where the publisher has 29,000" in catalog.check("multi30k")


def test_iwslt17_tags_xml_and_json(home):
    folder = iwslt17(home)
    assert list(text.load("iwslt17", "train").source) == GERMAN
    assert list(text.load("iwslt17", "validation").target) == ENGLISH
    assert list(text.load("iwslt17", "test").source) == GERMAN * 6
    before = catalog.data_hash("iwslt17")
    pairs = [{"translation": {"de": g, "en": e}} for g, e in zip(GERMAN, ENGLISH, strict=True)]
    (folder / "validation.json").write_text(json.dumps(pairs))
    assert catalog.data_hash("iwslt17") == before
    (folder / "validation.json").write_text('[{"de": "x"}]')
    with pytest.raises(ValueError, match=r"validation\.json is not a list"):
        text.load("iwslt17", "validation")


def test_mismatched_line_counts_are_one_clear_error(home):
    multi30k(home, english=ENGLISH[:1])
    with pytest.raises(ValueError, match=r"train\.de\.gz has 2 lines and train\.en 1 .*github\.com/multi30k"):
        text.load("multi30k")
    with pytest.raises(ValueError, match="2 German and 1 English"):
        text.Parallel(tuple(GERMAN), tuple(ENGLISH[:1]), "mine", "train")


def test_missing_damaged_and_empty_files_are_named(home):
    with pytest.raises(FileNotFoundError, match=r"train\.de\.gz is missing.*put train, val"):
        text.load("multi30k")
    folder = multi30k(home)
    (folder / "val.de.gz").write_bytes(b"no gzip")
    with pytest.raises(ValueError, match=r"val\.de\.gz cannot be read as text"):
        text.load("multi30k", "validation")
    (folder / "train.de.gz").write_bytes(gzip.compress(b""))
    (folder / "train.en").write_text("")
    with pytest.raises(ValueError, match="holds no sentence"):
        text.load("multi30k")


def test_unknown_names_are_told(home):
    with pytest.raises(ValueError, match="unknown corpus 'wmt14'"):
        text.load("wmt14")
    with pytest.raises(ValueError, match="no split 'dev'"):
        text.load("multi30k", "dev")
    with pytest.raises(ValueError, match="multi30k holds text and no images"):
        images.load("multi30k")


def test_take():
    corpus = text.Parallel(("a b c", "d", "e f"), ("x y z", "u", "v w"), "mine", "train")
    assert corpus.take(2).source == ("a b c", "d")
    assert corpus.take(0, longest=2).target == ("u", "v w")
    drawn = corpus.take(2, seed=1)
    assert drawn == corpus.take(2, seed=1) and len(drawn) == 2
    with pytest.raises(ValueError, match="cannot take 3 pairs from mine train, which has 2"):
        corpus.take(3, longest=2)
    with pytest.raises(ValueError, match="the train corpus of mine is empty"):
        corpus.take(0, longest=0).__class__((), (), "mine", "train")


# ---- subwords ----------------------------------------------------------------------------------------------


def test_vocabulary_round_trips_and_repeats_itself():
    corpus = text.generated(200, 10, 10)["train"]
    vocabulary, again = Vocabulary(corpus.source, 120), Vocabulary(corpus.source, 120)
    encoded = vocabulary.encode(corpus.source)
    assert vocabulary.decode(encoded) == list(corpus.source)
    assert encoded == again.encode(corpus.source)
    assert all(sentence[-1] == 2 and 0 not in sentence for sentence in encoded)
    assert len(vocabulary) == 120 > max(map(max, encoded))
    assert vocabulary.encode(["Ω"])[0][-2:] == [3, 2]


def test_a_vocabulary_of_nothing_is_one_clear_error():
    with pytest.raises(ValueError, match="empty corpus"):
        Vocabulary([], 100)
