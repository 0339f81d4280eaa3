"""Made-up requests for everything that the server describes: whatever is asked, it does not fail."""

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

EXAMPLES = 3
"""Requests for each operation; more are for a run by hand."""


@pytest.fixture(scope="module")
def operations(client):
    import schemathesis  # for seconds, which only the worker that runs this file shall wait

    document = client.get("/api/openapi.json").json()
    return [result.ok() for result in schemathesis.openapi.from_dict(document).get_all_operations()]


def ask_made_up_requests(client, operation):
    """Return the statuses of made-up requests for an operation, and those that were faults."""
    statuses, faults = [], []

    @settings(max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @seed(7)
    @given(case=operation.as_strategy())
    def ask(case):
        if "atlas" in (case.path_parameters or {}) and len(statuses) % 4:
            case.path_parameters["atlas"] = "the-north"  # three in four are for an atlas that is there
        request = case.as_transport_kwargs(base_url="http://127.0.0.1")
        answer = client.request(**{name: value for name, value in request.items() if name != "cookies"})
        statuses.append(answer.status_code)
        if answer.status_code >= 500:
            faults.append((operation.label, answer.status_code, request))

    ask()
    return statuses, faults


def test_no_request_is_a_fault_of_the_server(client, operations):
    assert len(operations) > 25
    statuses, faults = set(), []
    for operation in operations:
        more_statuses, more_faults = ask_made_up_requests(client, operation)
        statuses.update(more_statuses)
        faults += more_faults
    assert not faults
    assert {200, 400} <= statuses
