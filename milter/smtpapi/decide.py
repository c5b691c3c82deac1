"""What is done to one message: policy before header before configuration, option by option."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decision:
    """All switches and labels of one recipient's copy, settled (contract.md 1.2).

    expiry: seconds. metadata: compact JSON object text within max_metadata_len, or "".
    click_metadata: whether click links carry it too (engagement_tracker.click_tracking_include_metadata).
    """

    clicks: bool
    opens: bool
    initial_opens: bool
    click_scheme: str
    open_scheme: str
    domain: str
    expiry: int
    campaign: str = ""
    tags: tuple[str, ...] = ()
    metadata: str = ""
    click_metadata: bool = True
    customer_id: str = ""
    transactional: bool = False
