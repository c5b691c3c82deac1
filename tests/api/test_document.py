"""The API against its own document, by schemathesis: every path, method and status.

schemathesis makes requests that the document allows and requests that it does not, and checks statuses,
types, bodies and headers of the answers. Its plugin for pytest is not used: each call is one strategy here.
"""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from api.api_site import ApiSite, make_api_site

# Those that start a process, or ask the DNS, each time.
SLOW = {"/api/v1/x/preview": 2, "/api/v1/tracking-domains/{name}/verify": 3}
EXAMPLES = 4  # for each call and mode; more only with -m long
# Whether a request is refused cannot be read from the document alone: unknown parameters are ignored, any
# text is a list of one (contract.md 8.1), and some parameters depend on each other.
NOT_TRUE_HERE = [negative_data_rejection, positive_data_acceptance]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> ApiSite:
    return make_api_site(tmp_path_factory.mktemp("site"))


def _try(site: ApiSite, mode: GenerationMode, examples: int) -> None:
    """Send requests for every call of the document. Raises schemathesis' failures, each with its request."""
    document = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", site.client.application.wsgi_app)
    headers = {"Authorization": site.key()}
    for found in document.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and not operation.query and not operation.body:
            continue  # nothing to be wrong about

        @settings(
            max_examples=min(examples, SLOW.get(operation.path, examples)),
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def one(case: Any) -> None:
            case.call_and_validate(headers=headers, excluded_checks=NOT_TRUE_HERE)

        one()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_calls_answer_as_the_document_says(site: ApiSite, mode: GenerationMode) -> None:
    _try(site, mode, EXAMPLES)


@pytest.mark.long
@pytest.mark.timeout(1800)  # some 30,000 requests
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_calls_answer_as_the_document_says_at_length(site: ApiSite, mode: GenerationMode) -> None:
    _try(site, mode, 500)
