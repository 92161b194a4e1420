"""Every documented field is honoured, or refused with a 400 that names it; none is ignored."""

from __future__ import annotations

import typing

import openai
import pytest
from openai.types import completion_create_params as text_params
from openai.types.chat import completion_create_params as chat_params

from asking import CHAT, ENDPOINTS, TEXT, Endpoint
from judging import names_the_field, usage_adds_up
from tables import ACCEPTED, REFUSED, Refused
from test_effects import EFFECTS

REFUSALS = [(ENDPOINTS[name], case) for case in REFUSED for name in case.endpoints]
ACCEPTANCES = [(ENDPOINTS[name], fields) for fields, names in ACCEPTED for name in names]


def named(value: object) -> str | None:
    if isinstance(value, Endpoint):
        return value.name
    if isinstance(value, Refused):
        return str(value.fields)[:60]
    return str(value)[:60] if isinstance(value, dict) else None


@pytest.mark.parametrize(("endpoint", "case"), REFUSALS, ids=named)
def test_refused_by_name(client: openai.OpenAI, endpoint: Endpoint, case: Refused) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        endpoint.create(client, case.fields)
    names_the_field(caught.value, case.param)


@pytest.mark.parametrize(("endpoint", "fields"), ACCEPTANCES, ids=named)
def test_taken_without_effect(client: openai.OpenAI, endpoint: Endpoint, fields: dict[str, object]) -> None:
    answer = endpoint.create(client, fields)
    assert endpoint.text(answer) == endpoint.text(endpoint.create(client, {}))
    assert answer.choices[0].finish_reason in ("stop", "length")
    usage_adds_up(answer.usage)


@pytest.mark.parametrize(
    ("endpoint", "params"),
    [(CHAT, chat_params.CompletionCreateParamsBase), (TEXT, text_params.CompletionCreateParamsBase)],
    ids=["chat", "completions"],
)
def test_no_field_of_the_official_client_is_forgotten(endpoint: Endpoint, params: type) -> None:
    documented = set(typing.get_type_hints(params)) | {"stream"}
    covered = {name for found, case in REFUSALS if found is endpoint for name in case.fields}
    covered |= {name for found, fields in ACCEPTANCES if found is endpoint for name in fields}
    covered |= {name for case in EFFECTS if endpoint.name in case.endpoints for name in case.fields}
    assert documented - covered == set()
