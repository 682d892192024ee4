"""libyaml takes every value for what PyYAML's own parser takes it for."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from recbole_symcere.base.fast_yaml import by_libyaml, read_yaml, written_yaml
from recbole_symcere.base.files import properties_path

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
SCALARS = ["1e-4", "1.5", "1_000", "0x1f", "010", "yes", "Off", "null", "~", ".inf", "'1'", "12:30"]


class Numbers(yaml.FullLoader):
    """With numbers of its own, as RecBole's."""


Numbers.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def alike(value, other):
    assert value == other
    assert repr(value) == repr(other)  # 1, 1.0 and True are equal


@given(VALUES)
def test_what_is_written_is_read(value):
    text = yaml.safe_dump(value, allow_unicode=True)
    alike(read_yaml(text), yaml.safe_load(text))
    alike(yaml.safe_load(written_yaml(value)), yaml.safe_load(text))


@pytest.mark.parametrize("text", SCALARS)
@pytest.mark.parametrize("loader", [yaml.FullLoader, Numbers])
def test_a_scalar_is_what_the_given_loader_takes_it_for(loader, text):
    ours = by_libyaml(loader)
    assert ours is loader or issubclass(ours, yaml.cyaml.CParser)
    alike(yaml.load(f"[{text}]", Loader=ours), yaml.load(f"[{text}]", Loader=loader))
    alike(read_yaml(f"[{text}]"), yaml.safe_load(f"[{text}]"))


def test_every_file_of_settings_says_the_same():
    import recbole
    from recbole.config import Config

    folders = properties_path(), Path(recbole.__file__).parent / "properties"
    files = [file for folder in folders for file in sorted(folder.rglob("*.yaml"))]
    assert len(files) > 100
    recboles = Config._build_yaml_loader(None)  # changes a loader that others were asked about
    by_libyaml.cache_clear()
    for file in files:
        text = file.read_text(encoding="utf-8")
        alike(yaml.load(text, Loader=by_libyaml(recboles)), yaml.load(text, Loader=recboles))


@pytest.mark.parametrize("text", ["a: [1", "a: b: c", "\ta: 1", "!!python/object:os.system {}"])
def test_what_is_no_yaml_is_an_error(text):
    with pytest.raises(yaml.YAMLError):
        read_yaml(text)
