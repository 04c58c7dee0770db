"""What the knowledge commands share: the place that the settings name."""

from spark_copilot.app.config import load
from spark_copilot.orchestration.ask import KnowledgePlace


def place() -> KnowledgePlace:
    """Where this process's settings put the knowledge."""
    settings = load()
    return KnowledgePlace(
        home=settings.home,
        cards=settings.cards_folder,
        chroma_url=settings.chroma_url,
        encoder=settings.encoder,
        encoder_url=settings.encoder_url,
        encoder_key=settings.encoder_key.get_secret_value() if settings.encoder_key is not None else None,
    )
