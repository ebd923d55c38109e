"""summary.json."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass

MEASUREMENT, CONFIRMATION = "measurement", "confirmation"  # roles of a run


def without_nan(value: Any) -> Any:
    """JSON has no NaN; null says as well that nothing was measured."""
    if isinstance(value, dict):
        return {key: without_nan(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(v) for v in value]
    return None if isinstance(value, float) and value != value else value
