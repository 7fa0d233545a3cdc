"""chat.*: posting, editing and deleting messages."""

from __future__ import annotations

from bot.local_slack.arguments import Arguments
from bot.local_slack.limits import MAX_UPDATED_TEXT, check_message
from bot.local_slack.methods.method import Method, Server, bots_channel
from bot.local_slack.rate_limits import GENEROUS, POSTING, TIER_3, TIER_4
from bot.local_slack.refusal import JSON, Refusal
from bot.local_slack.workspace import Channel, Message


def _post_message(server: Server, arguments: Arguments) -> JSON:
    workspace = server.workspace
    channel = _destination(server, arguments.required("channel"))
    text, blocks = arguments.optional("text"), _blocks(arguments)
    check_message(text=text, blocks=blocks, unknown=server.unknown_blocks)
    message = workspace.post(
        channel,
        user=workspace.app.user_id,
        text=text,
        blocks=blocks or [],
        thread_ts=_thread(server, channel, arguments),
    )
    return {"channel": channel.id, "ts": message.ts, "message": workspace.as_slack(message)}


def _post_ephemeral(server: Server, arguments: Arguments) -> JSON:
    workspace = server.workspace
    channel = bots_channel(workspace, arguments.required("channel"))
    reader = arguments.required("user")
    if reader not in channel.members:
        raise Refusal("user_not_in_channel")
    text, blocks = arguments.optional("text"), _blocks(arguments)
    check_message(text=text, blocks=blocks, unknown=server.unknown_blocks)
    message = workspace.post(
        channel,
        user=workspace.app.user_id,
        text=text,
        blocks=blocks or [],
        thread_ts=_thread(server, channel, arguments),
        only_for=reader,
    )
    return {"message_ts": message.ts}


def _update(server: Server, arguments: Arguments) -> JSON:
    workspace = server.workspace
    message = _own_message(server, arguments, refusal="cant_update_message")
    text, blocks = arguments.values.get("text"), _blocks(arguments)
    if text is None and blocks is None:
        raise Refusal("no_text")
    # "If the text argument is provided and blocks are not provided, the blocks will be removed":
    # https://docs.slack.dev/reference/methods/chat.update
    new_text = message.text if text is None else arguments.optional("text")
    check_message(
        text=new_text,
        blocks=blocks,
        max_text=MAX_UPDATED_TEXT,
        has_files=bool(message.files),
        unknown=server.unknown_blocks,
    )
    workspace.edit(message, text=new_text, blocks=blocks)
    return {
        "channel": message.channel,
        "ts": message.ts,
        "text": message.text,
        "message": workspace.as_slack(message),
    }


def _delete(server: Server, arguments: Arguments) -> JSON:
    message = _own_message(server, arguments, refusal="cant_delete_message")
    server.workspace.delete(message)
    return {"channel": message.channel, "ts": message.ts}


def _get_permalink(server: Server, arguments: Arguments) -> JSON:
    channel = server.workspace.channel(arguments.required("channel"))
    message = server.workspace.message(channel.id, arguments.required("message_ts"))
    link = f"{server.url()}/#/archives/{channel.id}/p{message.ts.replace('.', '')}"
    return {"channel": channel.id, "permalink": link}


def _destination(server: Server, ref: str) -> Channel:
    """A user id as channel means the app's direct conversation with that user."""
    workspace = server.workspace
    person = next((one for one in workspace.people if one.id == ref), None)
    return workspace.direct(person) if person else bots_channel(workspace, ref)


def _blocks(arguments: Arguments) -> list[JSON] | None:
    blocks = arguments.parsed("blocks", error="invalid_blocks_format")
    if blocks is not None and not isinstance(blocks, list):
        raise Refusal("invalid_blocks_format")
    return blocks


def _thread(server: Server, channel: Channel, arguments: Arguments) -> str:
    thread_ts = arguments.optional("thread_ts")
    if thread_ts:
        try:
            server.workspace.message(channel.id, thread_ts)
        except Refusal:
            raise Refusal("thread_not_found") from None
    return thread_ts


def _own_message(server: Server, arguments: Arguments, *, refusal: str) -> Message:
    channel = bots_channel(server.workspace, arguments.required("channel"))
    message = server.workspace.message(channel.id, arguments.required("ts"))
    if message.only_for:
        raise Refusal("message_not_found")
    if message.user != server.workspace.app.user_id:
        raise Refusal(refusal)
    return message


METHODS = {
    "chat.postMessage": Method(answer=_post_message, scope="chat:write", rate=POSTING, is_limited_per_channel=True),
    "chat.postEphemeral": Method(answer=_post_ephemeral, scope="chat:write", rate=TIER_4),
    "chat.update": Method(answer=_update, scope="chat:write", rate=TIER_3),
    "chat.delete": Method(answer=_delete, scope="chat:write", rate=TIER_3),
    "chat.getPermalink": Method(answer=_get_permalink, rate=GENEROUS, takes_json=False),
}
