"""The papers of the repository agree: one version of everything, and a README whose example runs."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
FROM_CONDA = [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)]
(FROM_PIP,) = (entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))
ON_PYPI = {"pytorch-cpu": "torch", "pytorch": "torch"}  # conda-forge's name: PyPI's name


def constraint_lines() -> list[str]:
    lines = (line.split("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines())
    return [line for line in lines if line]


def pins() -> dict[str, str]:
    """Name and version of each constraint; its own exactness is tested below."""
    parsed = [Requirement(line) for line in constraint_lines()]
    return {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in parsed}


def declared() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    texts = [*PROJECT["dependencies"], *(text for extra in extras.values() for text in extra)]
    return [wanted for wanted in map(Requirement, texts) if wanted.name != PROJECT["name"]]


def conda() -> dict[str, str]:
    """Version of each conda package; empty where it is left to conda."""
    return {name: version for name, _, version in (entry.partition("=") for entry in FROM_CONDA)}


def test_every_constraint_is_one_exact_published_version():
    for line in constraint_lines():
        assert re.fullmatch(r"[\w.-]+==[\w.]+", line), f"{line}: expected NAME==VERSION, no local version"
    names = [canonicalize_name(line.split("==")[0]) for line in constraint_lines()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("wanted", declared(), ids=str)
def test_a_declared_dependency_is_pinned_within_its_range(wanted):
    version = pins().get(canonicalize_name(wanted.name))
    assert version is not None, f"{wanted.name} is in pyproject.toml and not in constraints.txt"
    assert wanted.specifier.contains(version, prereleases=True)


def test_conda_takes_the_same_versions():
    versions = conda()
    assert versions["python"] in SpecifierSet(PROJECT["requires-python"])
    assert versions["pytorch-cpu"] == pins()["torch"]
    for name, version in versions.items():
        pinned = pins().get(canonicalize_name(ON_PYPI.get(name, name)))
        assert name == "pip" or pinned is None or version == pinned, f"{name}: {version}, pinned {pinned}"


def test_conda_brings_what_pip_cannot_and_leaves_pip_the_rest():
    assert "ngspice-lib" in conda()
    assert ENVIRONMENT["channels"][0] == "conda-forge"
    assert FROM_PIP[0] == "-c constraints.txt"
    extras = re.fullmatch(r"-e \.\[([\w,]+)\]", FROM_PIP[1]).group(1).split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])
    assert len(FROM_PIP) == 2


def test_the_citation_names_this_version_and_licence():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert PROJECT["license"]["text"] in citation["license"]
    assert {"10.3390/jlpea12040059", "10.5220/0012362800003636"} <= {
        reference.get("doi") for reference in citation["references"]
    }


def test_the_example_of_the_readme_prints_what_it_says(capsys):
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL).group(1)
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out.strip()
    assert f"# {printed}" in code
