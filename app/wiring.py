"""Settings turned into what the use cases take. The one place that knows both."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from spark_copilot.app.config import Settings
from spark_copilot.connectors.eventlog import ReadLimits
from spark_copilot.connectors.run_tables import RunCache
from spark_copilot.orchestration.ask import KnowledgePlace

if TYPE_CHECKING:
    from spark_copilot.orchestration.chat.threads import Chat
    from spark_copilot.orchestration.runs import RunSource


def limits_of(settings: Settings) -> ReadLimits:
    """What a log may unpack to."""
    return ReadLimits(max_bytes=settings.max_decompressed_bytes)


def cache_of(settings: Settings) -> RunCache:
    """Where runs already read are kept."""
    return RunCache(settings.home / "read-logs", max_bytes=settings.run_cache_bytes)


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


def chat_of(settings: Settings, runs: "RunSource") -> "Chat":
    """Conversations over these runs, kept where the settings say, with the model they name."""
    from spark_copilot.orchestration.chat.threads import open_chat

    turns = None
    if settings.model is not None:
        from spark_copilot.orchestration.chat.with_model import Budget, ModelPlace, model_turns

        key = settings.model_key.get_secret_value() if settings.model_key is not None else None
        turns = model_turns(
            ModelPlace(settings.model, settings.model_url, key, float(settings.model_timeout_s)),
            Budget(seconds=float(settings.model_turn_s)),
        )
    return open_chat(runs, place_of(settings), database_url=settings.database_url, model=turns, model_name=settings.model)


def chat_later(settings: Settings, runs: "RunSource") -> "Callable[[], Chat]":
    """The same, opened at the first question: a server nobody chats with opens no database for it."""
    made: list[Chat] = []
    lock = threading.Lock()

    def opened() -> "Chat":
        with lock:
            if not made:
                made.append(chat_of(settings, runs))
            return made[0]

    return opened
