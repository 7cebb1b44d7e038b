"""The reader of DEAP's files against a pickle put together as Python 2 wrote it, and against hostile ones."""

import os
import pickle
import struct

import numpy as np
import pytest

from neurogain import cli
from neurogain.data import catalog, eeg, eeg_deap, images
from neurogain.data.eeg_synthetic import Cohort, participant, write


def string(raw: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(raw)) + raw  # BINSTRING, which only Python 2 writes


def python2_array(array: np.ndarray) -> bytes:
    """Opcodes of a float64 array as Python 2's pickle protocol 2 has them."""
    shape = b"(" + b"".join(b"J" + struct.pack("<i", n) for n in array.shape) + b"t"
    dtype = (
        b"cnumpy\ndtype\n(" + string(b"f8") + b"K\x00K\x01tR(K\x03" + string(b"<") + b"NNNJ\xff\xff\xff\xff"
    )
    dtype += b"J\xff\xff\xff\xffK\x00tb"
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + string(b"b") + b"tR"
    return empty + b"(K\x01" + shape + dtype + b"\x89" + string(array.tobytes()) + b"tb"


def python2_file(data: np.ndarray, labels: np.ndarray) -> bytes:
    entries = string(b"labels") + python2_array(labels) + string(b"data") + python2_array(data)
    return b"\x80\x02}(" + entries + b"u."


def content(trials=2, samples=16, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((trials, 40, samples)), rng.uniform(1, 9, (trials, 4))


def put(path, *parts, **keys):
    path.write_bytes(pickle.dumps(dict(zip(("data", "labels"), parts, strict=False)) | keys, protocol=2))
    return path


def test_reads_what_python_2_wrote(tmp_path):
    data, labels = content()
    path = tmp_path / "s01.dat"
    path.write_bytes(python2_file(data, labels))
    person = eeg_deap.read(path, trials=2, samples=16)
    assert person.name == "s01" and person.eeg.dtype == np.float32
    np.testing.assert_allclose(person.eeg, data[:, :32], rtol=1e-6)
    assert np.array_equal(person.ratings, labels)
    assert np.array_equal(person.high(), labels[:, 0] > 5)
    assert np.array_equal(person.high("arousal"), labels[:, 1] > 5)
    with pytest.raises(ValueError, match=r"'joy'.*liking"):
        person.high("joy")


def test_a_written_cohort_reads_back_and_nothing_is_overwritten(tmp_path):
    cohort = Cohort(participants=2, trials=3, samples=256)
    paths = write(cohort, tmp_path)
    assert [p.name for p in paths] == ["s01.dat", "s02.dat"]
    assert b"numpy._core" not in paths[0].read_bytes()  # older NumPy knows numpy.core
    back = eeg_deap.read(paths[1], trials=3, samples=256)
    assert np.array_equal(back.eeg, participant(cohort, 1).eeg)
    assert np.array_equal(back.ratings, participant(cohort, 1).ratings)
    with pytest.raises(FileExistsError, match=r"s01\.dat is there already"):
        write(cohort, tmp_path)


class Evil:
    def __init__(self, call, *given):
        self.made = call, given

    def __reduce__(self):
        return self.made


def refused(path, said, **sizes):
    with pytest.raises(ValueError, match=said) as caught:
        eeg_deap.read(path, **{"trials": None, "samples": None} | sizes)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_wants_code_run_is_refused_by_name_and_not_obeyed(tmp_path):
    mark = tmp_path / "ran"
    data, labels = content()
    system = f"{os.system.__module__}.system"
    for call, given, said in (
        (os.system, (f"touch {mark}",), system),
        (eval, (f"open({str(mark)!r}, 'w')",), r"(builtins|__builtin__)\.eval"),
        (getattr, (os, "getcwd"), r"getattr|module"),
        (np.load, (str(mark),), r"numpy\.load"),
    ):
        try:
            put(tmp_path / "s01.dat", data, labels, extra=Evil(call, *given))
        except TypeError:  # a module cannot be pickled at all
            continue
        refused(tmp_path / "s01.dat", f"asks for .*{said}.*nothing of it was run")
    assert not mark.exists()


def test_arrays_of_objects_and_strange_arrays_are_refused(tmp_path):
    _, labels = content()
    refused(put(tmp_path / "a.dat", np.array([{}, []], dtype=object), labels), "instead of numbers")
    refused(put(tmp_path / "b.dat", np.array(["text"]), labels), "instead of numbers")
    raw = b"\x80\x02c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR."
    (tmp_path / "c.dat").write_bytes(raw)
    refused(tmp_path / "c.dat", "_codecs.encode")
    huge = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85U\x01btR."
    (tmp_path / "d.dat").write_bytes(huge)
    refused(tmp_path / "d.dat", "unusual way")
    (tmp_path / "e.dat").write_bytes(b"\x80\x02U\x04fileQ.")
    refused(tmp_path / "e.dat", "outside of it, 'file'")


def test_what_is_wrong_is_one_sentence(tmp_path):
    data, labels = content()
    raw = python2_file(data, labels)
    path = tmp_path / "s01.dat"
    for cut in (0, 1, 20, len(raw) // 2, len(raw) - 1):
        path.write_bytes(raw[:cut])
        refused(path, "is truncated")
    path.write_bytes(b"<html>not found</html>")
    refused(path, "not a pickle")
    refused(put(path, [1, 2], labels), "a list as 'data'")
    refused(put(path, data), "expected a dictionary")
    refused(put(path, data[:, :32], labels), "shape 2 × 32 × 16, expected any × 40 × any")
    refused(put(path, data, labels), "shape 2 × 40 × 16, expected 40 × 40 × 8064", trials=40, samples=8064)
    refused(put(path, data[:1], labels), "1 trials and labels for 2")
    refused(put(path, data, labels + 9), "labels from .* expected 1 to 9")
    holed = data.copy()
    holed[1, 5, 3] = np.nan
    refused(put(path, holed, labels), "not finite")
    holed[1, 5] = 0.5
    refused(put(path, holed, labels), "no signal in trial 2 at FC1")
    path.write_bytes(python2_file(data[:0], labels[:0]))
    refused(path, "shape 0 × 40 × 16")
    with pytest.raises(FileNotFoundError, match=r"s02\.dat is missing"):
        eeg_deap.read(tmp_path / "s02.dat")


def test_the_catalogue_knows_deap(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("NEUROGAIN_DATA", str(tmp_path))
    assert cli.main(["data", "where", "deap"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(str(tmp_path / "deap")) and "s01.dat" in said and "{" not in said
    for action in ("check", "fetch"):
        assert cli.main(["data", action, "deap"]) == 2
        said = capsys.readouterr().err
        assert "s01.dat is missing" in said and catalog.entry("deap").homepage in said

    # 32 participants of DEAP's size are 3 GB; the same files, shorter.
    write(Cohort(trials=3, samples=128), tmp_path / "deap")
    plain = eeg_deap.read
    monkeypatch.setattr(eeg_deap, "read", lambda path: plain(path, trials=3, samples=128))
    high = sum(int(eeg.load(number).high().sum()) for number in range(1, 33))
    said = catalog.check("deap")
    assert "96 trials where the publisher has 1,280" in said and f"LOW: {96 - high}, HIGH: {high}" in said
    assert catalog.fetch("deap") == tmp_path / "deap"
    first = catalog.data_hash("deap")
    (tmp_path / "deap" / "s07.dat").write_bytes((tmp_path / "deap" / "s08.dat").read_bytes())
    assert catalog.data_hash("deap") != first
    (tmp_path / "deap" / "s07.dat").unlink()
    with pytest.raises(FileNotFoundError, match=r"s07\.dat is missing.*licence"):
        catalog.check("deap")
    with pytest.raises(ValueError, match="no images"):
        images.load("deap", "trials")
    with pytest.raises(ValueError, match="participant 33: expected 1 to 32"):
        eeg.load(33)
