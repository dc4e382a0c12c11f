"""``docs/asyncapi.yaml``: everything that goes over MQTT."""

from __future__ import annotations

from typing import Any, Final

from distributor import __version__
from tools.docs.examples import EXAMPLES
from tools.docs.schemas import MESSAGES, one_or_array, ref, schemas

_DESCRIPTION: Final = """\
MQTT 5 (3.1.1 is understood too), QoS 1 both ways. `leads` is the prefix of every topic;
`[mqtt] topic_prefix` changes it.

The daemon acknowledges an inbound message (PUBACK) only after what it carried is committed.
Redelivery is normal and changes nothing. An outbound message leaves after its decision is committed
and is repeated until the broker acknowledges it: receivers drop repeats by (`type`,
`assignment_id`). Messages about one lead leave in the order of the decisions.

Unknown fields are ignored. Times are RFC 3339 with an offset."""

_NAME: Final = "1 to 64 characters from A-Z a-z 0-9 . _ : -"
_PARAMETERS: Final = {
    "vendor": f"The vendor's name: {_NAME}.",
    "rep": f"The rep's id: {_NAME}.",
    "audience": "rep, manager, executive or decider.",
    "who": "The person's id.",
}

IN: Final[dict[str, tuple[str, str, str, bool]]] = {
    "leadIn": (
        "leads/in/{vendor}",
        "Lead",
        (
            "A vendor posts one lead, or an array of up to 1,000. The reply goes to the result "
            "topic, and to the MQTT 5 response topic with its correlation data where there is one."
        ),
        True,
    ),
    "repPresence": (
        "leads/rep/{rep}/presence",
        "Presence",
        "A rep's state. May be retained, and may be a last will.",
        False,
    ),
    "repEvent": (
        "leads/rep/{rep}/event",
        "Event",
        "What a rep's desktop reports; only about that rep's own work.",
        True,
    ),
    "dialerEvent": ("leads/dialer/event", "Event", "What a dialer reports.", True),
}
"""Channel -> (address, message, description, whether arrays are taken): what the daemon receives."""

OUT: Final[dict[str, tuple[str, str, str, bool]]] = {
    "leadResult": (
        "leads/in/{vendor}/result",
        "UnifiedReply",
        (
            "The reply to each lead; to an array, one array in its order. "
            "Off with `[mqtt] results = false`."
        ),
        True,
    ),
    "dialerAssign": (
        "leads/dialer/assign",
        "Assignment",
        (
            "A lead to dial for a rep. With `[mqtt] assign_batch` above 1 an array of Assignments "
            "and Revocations, to be worked off in order."
        ),
        True,
    ),
    "dialerRevoke": ("leads/dialer/revoke", "Revocation", "Stop: do not dial this lead.", False),
    "repLead": (
        "leads/rep/{rep}/lead",
        "Assignment",
        (
            "A rep's new lead, for the rep's desktop. With `[mqtt] rep_topics = false` only leads that "
            "no dialer gets: without a phone, and test leads."
        ),
        False,
    ),
    "repRevoke": ("leads/rep/{rep}/revoke", "Revocation", "A rep's lead is gone.", False),
    "exception": ("leads/exception", "ExceptionCase", "A human must decide about a lead.", False),
    "dead": ("leads/dead", "DeadLetter", "What could not be decoded.", False),
    "daemonStatus": (
        "leads/daemon/status",
        "DaemonStatus",
        "Retained; `offline` is the daemon's last will.",
        False,
    ),
}
"""The same for what the daemon sends."""

RESERVED: Final[dict[str, tuple[str, str]]] = {
    "repPull": ("leads/rep/{rep}/pull", "A rep asks for the next lead (pull pools)."),
    "notice": ("leads/notice/{audience}/{who}", "Notices to people."),
}
"""Addresses that are fixed but not served by this release."""

_BATCHED: Final = "dialerAssign"


def asyncapi() -> dict[str, Any]:
    """The document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "distributor over MQTT",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": {
                "host": "127.0.0.1:1883",
                "protocol": "mqtt",
                "protocolVersion": "5",
                "description": "The broker named in `[mqtt]`.",
            }
        },
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": schemas(MESSAGES)},
    }


def _channels() -> dict[str, Any]:
    channels: dict[str, Any] = {}
    for name, (address, message, about, _) in {**IN, **OUT}.items():
        channels[name] = _channel(address, about)
        channels[name]["messages"] = {message: _message_ref(_message_name(name, message))}
        if name == _BATCHED:
            channels[name]["messages"]["batch"] = _message_ref("DialerBatch")
    for name, (address, about) in RESERVED.items():
        text = f"{about} Reserved: this release does not serve it."
        channels[name] = _channel(address, text) | {"x-reserved": True}
    return channels


def _channel(address: str, about: str) -> dict[str, Any]:
    parameters = {
        name: {"description": text}
        for name, text in _PARAMETERS.items()
        if f"{{{name}}}" in address
    }
    channel: dict[str, Any] = {"address": address, "description": about}
    return channel | ({"parameters": parameters} if parameters else {})


def _message_name(channel: str, message: str) -> str:
    takes_arrays = {**IN, **OUT}[channel][3] and channel != _BATCHED
    return f"{message}s" if takes_arrays and message != "UnifiedReply" else message


def _message_ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/messages/{name}"}


def _operations() -> dict[str, Any]:
    operations = {}
    for action, table in (("receive", IN), ("send", OUT)):
        for name in table:
            operation: dict[str, Any] = {
                "action": action,
                "channel": {"$ref": f"#/channels/{name}"},
                "bindings": {"mqtt": {"qos": 1, "retain": name == "daemonStatus"}},
            }
            if name == "leadIn":
                operation["reply"] = {"channel": {"$ref": "#/channels/leadResult"}}
            operations[f"{action}{name[0].upper()}{name[1:]}"] = operation
    return operations


def _messages() -> dict[str, Any]:
    messages = {
        name: _message(ref(name), EXAMPLES[name]) for name in MESSAGES if name not in _PLURAL
    }
    messages |= {
        f"{name}s": _message(one_or_array(name), EXAMPLES[name], [EXAMPLES[name]])
        for name in _PLURAL
    }
    messages["UnifiedReply"] = _message(
        one_or_array("UnifiedReply"), EXAMPLES["UnifiedReply"], [EXAMPLES["UnifiedReply"]]
    )
    either = {"oneOf": [ref("Assignment"), ref("Revocation")]}
    messages["DialerBatch"] = _message(
        {"type": "array", "items": either}, [EXAMPLES["Assignment"], EXAMPLES["Revocation"]]
    )
    return messages


_PLURAL: Final = ("Lead", "Event")


def _message(payload: dict[str, Any], *examples: Any) -> dict[str, Any]:
    return {"payload": payload, "examples": [{"payload": example} for example in examples]}
