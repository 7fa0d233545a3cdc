"""chat.* and conversations.history: posting, editing, deleting and reading messages."""

from bot.local_slack.arguments import ApiArguments
from bot.local_slack.limits import MAX_UPDATED_TEXT, check_message
from bot.local_slack.methods.method import Method, MethodContext, joined_channel
from bot.local_slack.rate_limits import GENEROUS, POSTING, TIER_3, TIER_4
from bot.local_slack.refusal import JSON, SlackRefusal
from bot.local_slack.workspace import Channel, StoredMessage


def _post_message(context: MethodContext, arguments: ApiArguments) -> JSON:
    workspace = context.workspace
    channel = _destination(context, arguments.required("channel"))
    text, blocks = arguments.optional("text"), _blocks(arguments)
    check_message(text=text, blocks=blocks, unknown=context.unknown_blocks)
    message = workspace.post(
        channel,
        user=workspace.app.user_id,
        text=text,
        blocks=blocks or [],
        thread_ts=_thread(context, channel, arguments),
        metadata=arguments.parsed("metadata", error="invalid_metadata_format"),
    )
    return {"channel": channel.id, "ts": message.ts, "message": workspace.as_slack(message)}


def _post_ephemeral(context: MethodContext, arguments: ApiArguments) -> JSON:
    workspace = context.workspace
    channel = joined_channel(workspace, arguments.required("channel"))
    reader = arguments.required("user")
    if reader not in channel.members:
        raise SlackRefusal("user_not_in_channel")
    text, blocks = arguments.optional("text"), _blocks(arguments)
    check_message(text=text, blocks=blocks, unknown=context.unknown_blocks)
    message = workspace.post(
        channel,
        user=workspace.app.user_id,
        text=text,
        blocks=blocks or [],
        thread_ts=_thread(context, channel, arguments),
        only_for=reader,
    )
    return {"message_ts": message.ts}


def _history(context: MethodContext, arguments: ApiArguments) -> JSON:
    """Answer conversations.history: newest first, without replies, ephemeral and deleted messages."""
    channel = joined_channel(context.workspace, arguments.required("channel"))
    oldest, limit = float(arguments.optional("oldest") or 0), int(arguments.optional("limit") or 100)
    with_metadata = arguments.optional("include_all_metadata").lower() in ("1", "true")
    found = []
    for message in reversed(context.workspace.messages(channel_id=channel.id)):
        if message.thread_ts or message.only_for or message.is_deleted or float(message.ts) <= oldest:
            continue
        metadata = {"metadata": message.metadata} if with_metadata and message.metadata else {}
        found.append(context.workspace.as_slack(message) | metadata)
    return {"messages": found[:limit], "has_more": len(found) > limit}


def _update(context: MethodContext, arguments: ApiArguments) -> JSON:
    workspace = context.workspace
    message = _own_message(context, arguments, refusal="cant_update_message")
    text, blocks = arguments.values.get("text"), _blocks(arguments)
    if text is None and blocks is None:
        raise SlackRefusal("no_text")
    # "If the text argument is provided and blocks are not provided, the blocks will be removed":
    # https://docs.slack.dev/reference/methods/chat.update
    new_text = message.text if text is None else arguments.optional("text")
    check_message(
        text=new_text,
        blocks=blocks,
        max_text=MAX_UPDATED_TEXT,
        has_files=bool(message.files),
        unknown=context.unknown_blocks,
    )
    workspace.edit(message, text=new_text, blocks=blocks)
    return {"channel": message.channel, "ts": message.ts, "text": message.text, "message": workspace.as_slack(message)}


def _delete(context: MethodContext, arguments: ApiArguments) -> JSON:
    message = _own_message(context, arguments, refusal="cant_delete_message")
    context.workspace.delete(message)
    return {"channel": message.channel, "ts": message.ts}


def _get_permalink(context: MethodContext, arguments: ApiArguments) -> JSON:
    channel = context.workspace.channel(arguments.required("channel"))
    message = context.workspace.message(channel.id, arguments.required("message_ts"))
    link = f"{context.url()}/#/archives/{channel.id}/p{message.ts.replace('.', '')}"
    return {"channel": channel.id, "permalink": link}


def _destination(context: MethodContext, ref: str) -> Channel:
    """Return a channel; a user id means the app's direct conversation with that user."""
    workspace = context.workspace
    person = next((one for one in workspace.people if one.id == ref), None)
    return workspace.direct(person) if person else joined_channel(workspace, ref)


def _blocks(arguments: ApiArguments) -> list[JSON] | None:
    blocks = arguments.parsed("blocks", error="invalid_blocks_format")
    if blocks is not None and not isinstance(blocks, list):
        raise SlackRefusal("invalid_blocks_format")
    return blocks


def _thread(context: MethodContext, channel: Channel, arguments: ApiArguments) -> str:
    thread_ts = arguments.optional("thread_ts")
    if thread_ts:
        try:
            context.workspace.message(channel.id, thread_ts)
        except SlackRefusal:
            raise SlackRefusal("thread_not_found") from None
    return thread_ts


def _own_message(context: MethodContext, arguments: ApiArguments, *, refusal: str) -> StoredMessage:
    channel = joined_channel(context.workspace, arguments.required("channel"))
    message = context.workspace.message(channel.id, arguments.required("ts"))
    if message.only_for:
        raise SlackRefusal("message_not_found")
    if message.user != context.workspace.app.user_id:
        raise SlackRefusal(refusal)
    return message


METHODS = {
    "chat.postMessage": Method(answer=_post_message, scope="chat:write", rate=POSTING, is_limited_per_channel=True),
    "chat.postEphemeral": Method(answer=_post_ephemeral, scope="chat:write", rate=TIER_4),
    "chat.update": Method(answer=_update, scope="chat:write", rate=TIER_3),
    "chat.delete": Method(answer=_delete, scope="chat:write", rate=TIER_3),
    "conversations.history": Method(answer=_history, scope="channels:history", rate=TIER_3, takes_json=False),
    "chat.getPermalink": Method(answer=_get_permalink, rate=GENEROUS, takes_json=False),
}
