"""Sentences with their translations, and vocabularies of subwords.

`generated` makes a small German-English corpus out of a grammar; `load` reads Multi30k and IWSLT17 in the
layouts of their publishers.
"""

import gzip
import hashlib
import html
import itertools
import json
import random
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from neurogain.data.pictures import Malformed


@dataclass(frozen=True)
class Parallel:
    """Sentences and their translations, in the same order."""

    source: tuple[str, ...]  # German
    target: tuple[str, ...]  # English
    name: str  # of the corpus
    split: str  # "train", "validation" or "test"

    def __post_init__(self):
        if not self.source and not self.target:
            raise ValueError(f"the {self.split} corpus of {self.name} is empty: expected one pair or more")
        if len(self.source) != len(self.target):
            raise ValueError(
                f"{self.name} {self.split} has {len(self.source)} German and {len(self.target)} English "
                "sentences: expected the same number, line by line"
            )

    def __len__(self) -> int:
        return len(self.source)

    def take(self, count: int, seed: int | None = None, longest: int = 0) -> "Parallel":
        """The first `count` pairs, or with a seed as many drawn by it; 0 takes all.

        Of pairs with more than `longest` words on a side none is taken, unless it is 0.
        """
        pairs = [
            (s, t)
            for s, t in zip(self.source, self.target, strict=True)
            if not longest or max(len(s.split()), len(t.split())) <= longest
        ]
        if count > len(pairs):
            raise ValueError(
                f"cannot take {count} pairs from {self.name} {self.split}, which has {len(pairs)}"
            )
        if seed is not None and count:
            pairs = random.Random(seed).sample(pairs, count)
        pairs = pairs[: count or None]
        return Parallel(tuple(s for s, _ in pairs), tuple(t for _, t in pairs), self.name, self.split)


# ---- the generated corpus ----------------------------------------------------------------------------------

# English noun, German noun, German gender
_BEINGS = (
    *(("dog", "Hund", "m"), ("cat", "Katze", "f"), ("child", "Kind", "n"), ("man", "Mann", "m")),
    *(("woman", "Frau", "f"), ("bird", "Vogel", "m"), ("girl", "Mädchen", "n"), ("king", "König", "m")),
    *(("goat", "Ziege", "f"), ("horse", "Pferd", "n"), ("queen", "Königin", "f"), ("bear", "Bär", "m")),
)
_THINGS = (
    *(("ball", "Ball", "m"), ("flower", "Blume", "f"), ("book", "Buch", "n"), ("apple", "Apfel", "m")),
    *(("lamp", "Lampe", "f"), ("boat", "Boot", "n"), ("hat", "Hut", "m"), ("bell", "Glocke", "f")),
)
_ADJECTIVES = (
    *(("old", "alt"), ("small", "klein"), ("red", "rot"), ("young", "jung"), ("white", "weiß")),
    *(("quiet", "still"), ("green", "grün"), ("beautiful", "schön")),
)
_VERBS = (  # English past tense, German participle
    *(("saw", "gesehen"), ("found", "gefunden"), ("sought", "gesucht"), ("heard", "gehört")),
    *(("carried", "getragen"), ("bought", "gekauft"), ("lost", "verloren"), ("painted", "gemalt")),
)
_PLACES = (
    *(("in the garden", "im Garten"), ("in the town", "in der Stadt"), ("at the station", "am Bahnhof")),
    *(("in the park", "im Park"), ("at the lake", "am See"), ("in the house", "im Haus")),
)
_TIMES = (("yesterday", "gestern"), ("today", "heute"), ("often", "oft"), ("again", "wieder"))

_THE = {"m": ("der", "den"), "f": ("die", "die"), "n": ("das", "das")}  # nominative, accusative
_A = {"m": ("ein", "einen"), "f": ("eine", "eine"), "n": ("ein", "ein")}
_ENDING_THE = {"m": ("e", "en"), "f": ("e", "e"), "n": ("e", "e")}
_ENDING_A = {"m": ("er", "en"), "f": ("e", "e"), "n": ("es", "es")}


def _noun(draw: random.Random, nouns: tuple, case: int) -> tuple[str, str, str]:
    """English and German noun phrase, and the gender; case 0 is nominative, 1 accusative."""
    english, german, gender = draw.choice(nouns)
    definite = draw.random() < 0.5
    article, ending = (_THE, _ENDING_THE) if definite else (_A, _ENDING_A)
    words, wörter = [], [article[gender][case]]
    for adjective, adjektiv in draw.sample(_ADJECTIVES, draw.choice((0, 0, 1))):
        words.append(adjective)
        wörter.append(adjektiv + ending[gender][case])
    first = (words or [english])[0]
    words.insert(0, "the" if definite else "an" if first[0] in "aeiou" else "a")
    return " ".join([*words, english]), " ".join([*wörter, german]), gender


def _sentence(draw: random.Random) -> tuple[str, str]:
    """A German sentence and its translation.

    German puts the time or the place first and then the auxiliary before the subject, and the participle last;
    it declines article and adjective by gender and case. The word for a bench by the water or among trees
    means a bank in town.
    """
    subject, subjekt, gender = _noun(draw, _BEINGS, 0)
    thing, ding, _ = _noun(draw, _BEINGS + _THINGS, 1)
    verb, partizip = draw.choice(_VERBS)
    place, ort = draw.choice(_PLACES)
    time, zeit = draw.choice(_TIMES)
    if draw.random() < 0.25:  # a word with two meanings: only the place tells which
        thing, ding = ("the bank" if "town" in place or "station" in place else "the bench"), "die Bank"
    if draw.random() < 0.15:  # a relative clause
        other, anderes, _ = _noun(draw, _BEINGS + _THINGS, 1)
        did, getan = draw.choice(_VERBS)
        subject += f" that {did} {other}"
        subjekt += f" , {_THE[gender][0]} {anderes} {getan} hat ,"
    english = f"{time} {subject} {verb} {thing} {place} ."
    german = draw.choice(
        (
            f"{zeit} hat {subjekt} {ding} {ort} {partizip} .",
            f"{ort} hat {subjekt} {zeit} {ding} {partizip} .",
            f"{subjekt} hat {zeit} {ding} {ort} {partizip} .",
        )
    )
    return german, english


def generated(
    train: int = 4000, validation: int = 200, test: int = 200, seed: int = 0
) -> dict[str, Parallel]:
    """A German-English corpus from a small grammar: every German sentence has one right translation.

    No sentence is in two splits.

    Parameters
    ----------
    train, validation, test
        Pairs in each split.
    seed
        Draws the sentences.

    Raises
    ------
    ValueError
        If a split would be empty.
    """
    draw, seen = random.Random(seed), {}
    while len(seen) < train + validation + test:
        german, english = _sentence(draw)
        seen.setdefault(german, english)
    pairs, splits = iter(seen.items()), {}
    for split, count in (("test", test), ("validation", validation), ("train", train)):
        part = list(itertools.islice(pairs, count))
        splits[split] = Parallel(tuple(s for s, _ in part), tuple(t for _, t in part), "generated", split)
    return splits


# ---- the publishers' corpora -------------------------------------------------------------------------------

SPLITS = ("train", "validation", "test")
_MULTI30K = {"train": "train", "validation": "val", "test": "test_2016_flickr"}
_IWSLT17 = {  # the same files that make up these splits elsewhere
    "train": ("train.tags.de-en",),
    "validation": ("IWSLT17.TED.dev2010.de-en",),
    "test": tuple(f"IWSLT17.TED.tst{year}.de-en" for year in range(2010, 2016)),
}


def load(name: str, split: str = "train", root: str | Path | None = None) -> Parallel:
    """Read one split of Multi30k (task 1, raw) or IWSLT17 (de-en).

    Multi30k is `train`, `val` and `test_2016_flickr` with `.de` and `.en`, gzipped or not. IWSLT17 is
    `train.tags.de-en.de` and `.en`, dev2010 for validation and tst2010 to tst2015 for the test as
    `IWSLT17.TED.….de-en.de.xml` and `.en.xml`; or `SPLIT.json`, a list of `{"translation": {"de", "en"}}`.

    Raises
    ------
    FileNotFoundError, ValueError
        If a file is missing or malformed, or the two languages differ in lines; the message says what to do.
    """
    from neurogain.data import catalog

    if name not in ("multi30k", "iwslt17"):
        raise ValueError(f"unknown corpus {name!r}: expected multi30k, iwslt17, or `generated`")
    if split not in SPLITS:
        raise ValueError(f"{name} has no split {split!r}: expected one of {', '.join(SPLITS)}")
    root = catalog.where(name) if root is None else Path(root)
    with catalog.remedied(catalog.entry(name), root):
        return read(name, root, split)


def files(name: str, root: Path, split: str) -> list[Path]:
    """The files that hold a split, German and English in turn."""
    if name == "multi30k":
        stems = [f"{_MULTI30K[split]}.{language}" for language in ("de", "en")]
        return [_first(root, (f"{stem}.gz", stem)) for stem in stems]
    if (root / f"{split}.json").is_file():
        return [root / f"{split}.json"]
    end = "" if split == "train" else ".xml"
    return [
        _first(root, (f"{stem}.{language}{end}",)) for stem in _IWSLT17[split] for language in ("de", "en")
    ]


def read(name: str, root: Path, split: str) -> Parallel:
    """Read a split; see `load`, which adds the remedy to an error."""
    paths = files(name, root, split)
    if paths[0].suffix == ".json":
        try:
            pairs = [entry["translation"] for entry in json.loads(_text(paths[0]))]
            return _parallel([p["de"] for p in pairs], [p["en"] for p in pairs], paths, name, split)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise Malformed(
                f'{paths[0]} is not a list of {{"translation": {{"de": …, "en": …}}}} ({error!r})'
            ) from error
    source, target = [], []
    for german, english in zip(paths[::2], paths[1::2], strict=True):
        lines = _lines(german), _lines(english)
        _parallel(*lines, [german, english], name, split)  # a mismatch is told of the file that has it
        source += lines[0]
        target += lines[1]
    return _parallel(source, target, paths, name, split)


def digest(name: str, root: Path, splits) -> str:
    """SHA-256 over the sentences of the splits: the same gzipped or not, and wherever the files lie."""
    total = hashlib.sha256()
    for split in splits:
        part = read(name, root, split)
        total.update("\n".join((split, *part.source, *part.target)).encode())
    return total.hexdigest()


def _parallel(source: list[str], target: list[str], paths: list[Path], name: str, split: str) -> Parallel:
    if len(source) != len(target):
        raise Malformed(
            f"{paths[0].name} has {len(source)} lines and {paths[-1].name} {len(target)} in {paths[0].parent}, "
            "expected the same number"
        )
    if not source:
        raise Malformed(f"{paths[0]} holds no sentence")
    pairs = [(s.strip(), t.strip()) for s, t in zip(source, target, strict=True)]
    pairs = [(s, t) for s, t in pairs if s and t]  # IWSLT17 has lines without a translation
    return Parallel(tuple(s for s, _ in pairs), tuple(t for _, t in pairs), name, split)


def _lines(path: Path) -> list[str]:
    text = _text(path)
    if path.suffix == ".xml":
        return [html.unescape(found) for found in re.findall(r"<seg[^>]*>(.*?)</seg>", text, re.DOTALL)]
    lines = text.removesuffix("\n").split("\n") if text else []
    tags = ("<url", "<keywords", "<speaker", "<talkid", "<title", "<description", "<reviewer", "<translator")
    return [line for line in lines if not line.startswith(tags)] if ".tags." in path.name else lines


def _text(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise Malformed(f"{path} cannot be read as text, so it is truncated or damaged ({error})") from error


def _first(root: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (root / name).is_file():
            return root / name
    raise FileNotFoundError(f"{names[0]} is missing in {root}")
