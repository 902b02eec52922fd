"""Which bytes mean what: a foreign format needs its section, and says which."""

import pytest

from live_eels.app.formats import decoder
from live_eels.config import ConfigError, parse


@pytest.mark.parametrize("name", ["dectris", "karabo"])
def test_a_foreign_format_without_its_section_is_refused_in_words(name):
    with pytest.raises(ConfigError, match=rf"section \[{name}\].*--source {name}"):
        decoder(parse(f'[stream]\nformat = "{name}"\n'))
