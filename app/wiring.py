"""Settings turned into what the use cases take. The one place that knows both."""

from spark_copilot.app.config import Settings
from spark_copilot.orchestration.ask import KnowledgePlace


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
