"""files.*: the three-step upload, https://docs.slack.dev/messaging/working-with-files."""

import mimetypes
from dataclasses import replace

from bot.local_slack.arguments import ApiArguments
from bot.local_slack.methods.method import Method, MethodContext, joined_channel
from bot.local_slack.rate_limits import TIER_4
from bot.local_slack.refusal import JSON, SlackRefusal
from bot.local_slack.workspace import File, StoredMessage, new_id

MAX_ALT_TEXT = 1000
"""https://docs.slack.dev/reference/methods/files.getUploadURLExternal"""


def _get_upload_url(context: MethodContext, arguments: ApiArguments) -> JSON:
    name, length = arguments.required("filename"), arguments.required("length")
    if not length.isdecimal() or int(length) == 0:
        raise SlackRefusal("invalid_arguments", "must be greater than 0 [json-pointer:/length]")
    mimetype = mimetypes.guess_type(name)[0] or "application/octet-stream"
    alt_text = arguments.optional("alt_txt")
    if len(alt_text) > MAX_ALT_TEXT:
        raise SlackRefusal("alt_txt_too_large")
    file = File(id=new_id("F"), name=name, title=name, alt_txt=alt_text, mimetype=mimetype, content=b"")
    context.workspace.store_file(file)
    return {"upload_url": f"{context.url()}/upload/v1/{file.id}", "file_id": file.id}


def _complete_upload(context: MethodContext, arguments: ApiArguments) -> JSON:
    workspace = context.workspace
    requested = arguments.parsed("files")
    if not isinstance(requested, list) or not requested or not all(isinstance(one, dict) for one in requested):
        raise SlackRefusal("invalid_arguments", "missing required field: files")
    files = tuple(_uploaded(context, one) for one in requested)
    channel_id = arguments.optional("channel_id") or arguments.optional("channels").partition(",")[0]
    if channel_id:
        channel = joined_channel(workspace, channel_id)
        thread_ts = arguments.optional("thread_ts")
        if thread_ts:
            workspace.message(channel.id, thread_ts)
        comment = arguments.optional("initial_comment")
        workspace.post(channel, user=workspace.app.user_id, text=comment, thread_ts=thread_ts, files=files)
    for file in files:
        workspace.store_file(file)
    return {"files": [file.as_slack() for file in files]}


def _uploaded(context: MethodContext, requested: JSON) -> File:
    file = context.workspace.files.get(str(requested.get("id")))
    if file is None or not file.content or _is_shared(context, file):
        raise SlackRefusal("file_not_found")
    return replace(file, title=requested.get("title") or file.title)


def _is_shared(context: MethodContext, file: File) -> bool:
    """Return True if a message has the file: its upload cannot be completed again."""

    def holds(message: StoredMessage) -> bool:
        return any(one.id == file.id for one in message.files)

    return any(holds(message) for message in context.workspace.messages())


METHODS = {
    "files.getUploadURLExternal": Method(answer=_get_upload_url, scope="files:write", rate=TIER_4, takes_json=False),
    "files.completeUploadExternal": Method(answer=_complete_upload, scope="files:write", rate=TIER_4),
}
