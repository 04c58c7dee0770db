"""What a tenant may have at most."""

from spark_copilot.app.config import Settings
from spark_copilot.rules_engine.errors import CopilotError
from spark_copilot.storage.access_repository import KeyRepository
from spark_copilot.storage.metadata_repository import MetadataRepository


class QuotaReached(CopilotError):
    """The tenant has as much as it may have."""

    code = "quota-reached"
    hint = "Delete runs that are not needed any more, or have the quota raised."

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def room(settings: Settings, repository: MetadataRepository, tenant: str) -> int:
    """The bytes that a log may have which this tenant has fetched.

    Raises:
        QuotaReached: none.
    """
    if settings.quota_bytes is None or not KeyRepository(repository.database).any():
        return settings.max_upload_bytes
    left = settings.quota_bytes - repository.usage(tenant).stored_bytes
    if left <= 0:
        raise QuotaReached(f"the tenant may keep {settings.quota_bytes} bytes of logs and has them", "quota-bytes")
    return min(settings.max_upload_bytes, left)
