"""files.*: the upload in three steps, https://docs.slack.dev/messaging/working-with-files."""

from __future__ import annotations

import mimetypes
from dataclasses import replace

from bot.local_slack.arguments import Arguments
from bot.local_slack.methods.method import Method, Server, bots_channel
from bot.local_slack.rate_limits import TIER_4
from bot.local_slack.refusal import JSON, Refusal
from bot.local_slack.workspace import File, Message, new_id

MOST_ALT_LETTERS = 1000
"""https://docs.slack.dev/reference/methods/files.getUploadURLExternal"""


def _get_upload_url(server: Server, arguments: Arguments) -> JSON:
    name, length = arguments.required("filename"), arguments.required("length")
    if not length.isdecimal() or int(length) == 0:
        raise Refusal("invalid_arguments", "must be greater than 0 [json-pointer:/length]")
    mimetype = mimetypes.guess_type(name)[0] or "application/octet-stream"
    said = arguments.optional("alt_txt")
    if len(said) > MOST_ALT_LETTERS:
        raise Refusal("alt_txt_too_large")
    file = File(id=new_id("F"), name=name, title=name, alt_txt=said, mimetype=mimetype, content=b"")
    server.workspace.keep(file)
    return {"upload_url": f"{server.url()}/upload/v1/{file.id}", "file_id": file.id}


def _complete_upload(server: Server, arguments: Arguments) -> JSON:
    workspace = server.workspace
    wanted = arguments.parsed("files")
    if not isinstance(wanted, list) or not wanted or not all(isinstance(one, dict) for one in wanted):
        raise Refusal("invalid_arguments", "missing required field: files")
    files = tuple(_uploaded(server, one) for one in wanted)
    channel_id = arguments.optional("channel_id") or arguments.optional("channels").partition(",")[0]
    if channel_id:
        channel = bots_channel(workspace, channel_id)
        thread_ts = arguments.optional("thread_ts")
        if thread_ts:
            workspace.message(channel.id, thread_ts)
        comment = arguments.optional("initial_comment")
        workspace.post(channel, user=workspace.app.user_id, text=comment, thread_ts=thread_ts, files=files)
    for file in files:
        workspace.keep(file)
    return {"files": [file.as_slack() for file in files]}


def _uploaded(server: Server, wanted: JSON) -> File:
    file = server.workspace.files.get(str(wanted.get("id")))
    if file is None or not file.content or _is_shared(server, file):
        raise Refusal("file_not_found")
    return replace(file, title=wanted.get("title") or file.title)


def _is_shared(server: Server, file: File) -> bool:
    """A file is completed once; whoever tries again is told that there is none to complete."""

    def holds(message: Message) -> bool:
        return any(one.id == file.id for one in message.files)

    return any(holds(message) for message in server.workspace.messages())


METHODS = {
    "files.getUploadURLExternal": Method(answer=_get_upload_url, scope="files:write", rate=TIER_4, takes_json=False),
    "files.completeUploadExternal": Method(answer=_complete_upload, scope="files:write", rate=TIER_4),
}
