"""Messages to SNS topics are kept, with who they would have gone to: `GET /_sandbox/messages`.

Seam: `Topic.publish`. Nothing leaves the machine, so mails are read there; moto keeps messages too, but has
no call that gives them.
"""

from __future__ import annotations

import functools
from collections import deque
from typing import Any

from moto.sns.models import Topic

from sandbox.parts import Parts

_KEPT = 1000


def install(parts: Parts) -> None:
    """Keep what is published."""
    publish, messages = Topic.publish, deque[dict[str, Any]](maxlen=_KEPT)

    @functools.wraps(publish)
    def kept(self: Any, message: str, *args: Any, **kwargs: Any) -> str:
        subscriptions, _ = self.sns_backend.list_subscriptions_by_topic(topic_arn=self.arn)
        messages.append(
            {
                "time": parts.clock.now().isoformat(),
                "topic": self.arn,
                "subject": kwargs.get("subject") or (args[0] if args else None),
                "message": message,
                "to": [f"{each.protocol}:{each.endpoint}" for each in subscriptions],
            }
        )
        answer: str = publish(self, message, *args, **kwargs)
        return answer

    Topic.publish = kept
    parts.pages["GET", "messages"] = lambda _: list(messages)
