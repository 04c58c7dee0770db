"""Settings turned into what the use cases take. The one place that knows both."""

from spark_copilot.app.config import Settings
from spark_copilot.connectors.eventlog import ReadLimits
from spark_copilot.connectors.run_tables import RunCache
from spark_copilot.orchestration.ask import KnowledgePlace


def limits_of(settings: Settings) -> ReadLimits:
    """What a log may unpack to."""
    return ReadLimits(max_bytes=settings.max_decompressed_bytes)


def cache_of(settings: Settings) -> RunCache:
    """Where runs already read are kept."""
    return RunCache(settings.home / "runs", max_bytes=settings.run_cache_bytes)


def place_of(settings: Settings) -> KnowledgePlace:
    """Where these settings put the knowledge."""
    return KnowledgePlace(
        home=settings.home,
        cards=settings.cards_folder,
        chroma_url=settings.chroma_url,
        encoder=settings.encoder,
        encoder_url=settings.encoder_url,
        encoder_key=settings.encoder_key.get_secret_value() if settings.encoder_key is not None else None,
    )
