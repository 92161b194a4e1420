"""What a client is made with."""

from __future__ import annotations

import pytest

from realm import ConfigError, Realm
from realm._settings import Settings

KEY = "rlm_secret"


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ("http://h:1", "http://h:1"),
        ("http://h:1/", "http://h:1"),
        ("http://h:1/v1", "http://h:1"),
        ("http://h:1/v1/", "http://h:1"),
        ("https://h/models/v1", "https://h/models"),
    ],
)
def test_a_base_url_may_end_as_it_likes(given: str, root: str) -> None:
    assert Settings.resolve(given).base_url == root


def test_arguments_come_before_the_environment_before_defaults() -> None:
    environment = {"REALM_BASE_URL": "http://e:1", "REALM_API_KEY": "ke", "REALM_MODEL": "me"}
    given = Settings.resolve("http://a:1", "ka", model="ma", environment=environment)
    assert (given.base_url, given.api_key, given.model) == ("http://a:1", "ka", "ma")
    found = Settings.resolve(environment=environment)
    assert (found.base_url, found.api_key, found.model) == ("http://e:1", "ke", "me")
    default = Settings.resolve(environment={"REALM_API_KEY": ""})
    assert (default.base_url, default.api_key, default.model) == ("http://127.0.0.1:8080", None, None)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALM_BASE_URL", "http://e:1/v1")
    with Realm() as client:
        assert client.settings.base_url == "http://e:1"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"base_url": "h:1"}, "http://"),
        ({"base_url": "ftp://h"}, "http://"),
        ({"base_url": "http://"}, "host"),
        ({"base_url": "http://h?x=1"}, "path"),
        ({"base_url": "http://h:port"}, "h:port"),
        ({"api_key": "a\nb"}, "characters"),
        ({"api_key": "clé"}, "characters"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"max_retries": -1}, "between 0 and 10"),
        ({"max_retries": 11}, "between 0 and 10"),
    ],
)
def test_what_cannot_work_is_refused_at_once(arguments: dict[str, object], part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        Realm(**arguments)  # type: ignore[arg-type]


def test_a_key_is_not_shown() -> None:
    assert KEY not in repr(Settings.resolve(api_key=KEY, headers={"x": KEY}))
